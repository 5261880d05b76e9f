"""Requests to an `areca.system.System` and its results; requests are checked before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from areca.audio import Header, read, require_short
from areca.errors import InvalidAudio, InvalidConfig, MissingDependency, quote
from areca.fields import VOICE
from areca.languages import language_code
from areca.sound.arrays import is_recording, to_audio
from areca.sound.hearing import require_audible
from areca.sound.spooling import open_seekable
from areca.tasks import Task
from areca.types import Audio, Codes, VoicePrompt

Sound = str | Path | Audio | tuple[Any, int]
"""A recording: its path, an `Audio`, or ``(array, rate)`` (see `areca.sound.arrays.to_audio`)."""


@dataclass(frozen=True, slots=True)
class Result:
    """An answer.

    Args:
        name: the request's name: the path of the recording, or the text.
        task: the task's name.
        texts: the texts of the answer by field, as ``"source.text"``.
        audio: the speech of the answer, if it has any.
        codes: the codes of that speech.
        cut: whether its limit ended a segment, instead of the model.
        seconds: time to compute the answer; answers of one batch share its time equally.
        trimmed_s: seconds of silence that were removed before and after the recording.
    """

    name: str
    task: str
    texts: Mapping[str, str]
    audio: Audio | None
    codes: Codes | None
    cut: bool
    seconds: float
    trimmed_s: tuple[float, float] = (0.0, 0.0)

    @property
    def transcript(self) -> str | None:
        """The words that were spoken, in the source language."""
        return self.texts.get("source.text")

    @property
    def translation(self) -> str | None:
        """Their translation, in the target language."""
        return self.texts.get("target.text")


@dataclass(frozen=True, slots=True)
class Request:
    """An input, ready to be answered.

    Args:
        name: name for messages.
        values: the text, or the codes or vectors of the recording and the voice, by the name of their field.
        seconds: length of the recording; None: the input is a text.
        trimmed_s: seconds of silence that were removed before and after it.
        lengths_s: length of the codes of the recording in seconds, by the name of their field.
        voice: the voice to speak the answer in; None: the vocoder's own.
    """

    name: str
    values: Mapping[str, str | Codes | Tensor]
    seconds: float | None = None
    trimmed_s: tuple[float, float] = (0.0, 0.0)
    lengths_s: Mapping[str, float] = field(default_factory=dict)
    voice: VoicePrompt | None = None


def read_sound(item: Sound, shortest_s: float = 0.0, name: str = "audio") -> Audio:
    """Return a recording that is not silent.

    Args:
        item: a path (also of a pipe), an `Audio`, or ``(array, rate)``.
        shortest_s: minimum length in seconds.
        name: name of an array, for messages.

    Raises:
        InvalidAudio: it cannot be used, is silent, shorter than `shortest_s`, or longer than `areca.audio.LONGEST_S`;
            the message names it.
    """
    return require_audible(_read(item, name), shortest_s)


def _read(item: Sound, name: str) -> Audio:
    if isinstance(item, (str, Path)):
        return _read_file(item)
    if not is_recording(item):
        raise InvalidAudio(f"{name}: expected a path, an Audio or (array, rate), got {quote(item)}")
    return _require_short(item if isinstance(item, Audio) else to_audio(item, name))


def _read_file(item: str | Path) -> Audio:
    with open_seekable(item) as path:
        try:
            recording = read(path)
        except (InvalidAudio, MissingDependency) as error:
            raise type(error)(str(error).replace(str(path), str(item))) from error
    return _require_short(Audio(recording.samples, recording.sample_rate_hz, name=str(item)))


def _require_short(audio: Audio) -> Audio:
    require_short(audio.name, Header(audio.seconds, audio.sample_rate_hz, audio.channels))
    return audio


def check_texts(texts: Sequence[Sound]) -> list[str]:
    """Check that every item is a text, and return the texts.

    Raises:
        InvalidConfig: an item is empty, or is not a text.
    """
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise InvalidConfig(f"expected a text, got {quote(text)}")
    return [str(text) for text in texts]


def resolve_languages(task: Task, source: str | None, target: str | None) -> dict[str, str | Codes]:
    """Return the language codes that a task's prompt names, by field, such as ``{"source.language": "fr"}``.

    Raises:
        InvalidConfig: a language is missing or unknown.
    """
    given = {"source": source, "target": target}
    codes: dict[str, str | Codes] = {}
    for side in task.languages:
        # A task of one language accepts it as source or as target.
        language = given[side] or (next(filter(None, given.values()), None) if len(task.languages) == 1 else None)
        if language is None:
            raise InvalidConfig(f"task {task.tag}: which {side} language? give {side}='French' (--{side} French)")
        codes[f"{side}.language"] = language_code(language)
    return codes


def get_input_kind(task: Task) -> str:
    """Return whether a task reads ``"audio"`` or ``"text"``, apart from a voice prompt.

    Raises:
        InvalidConfig: the task reads several recordings or texts, or a field of ``extra``.
    """
    asked = {field.path: field for field in task.inputs if field.path != VOICE}
    if len(asked) != 1 or next(iter(asked)).startswith("extra."):
        paths = ", ".join(asked) or "nothing"
        raise InvalidConfig(f"task {task.tag}: reads {paths}; only a task that reads one recording or text can be run")
    return next(iter(asked.values())).kind
