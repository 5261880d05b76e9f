"""What a `areca.system.System` is asked, checked before any work, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from areca import audio as sound
from areca.errors import InvalidAudio, InvalidConfig
from areca.languages import language_code
from areca.lm.model import SpeechLM
from areca.tasks import Task
from areca.types import Audio, Codes

Sound = str | Path | Audio
"""A recording: its path, or what was read from it."""
LONGEST_S = 600.0
"""Seconds of audio that are read at all, whatever the model's context."""


@dataclass(frozen=True, slots=True)
class Result:
    """An answer.

    Args:
        name: what it answers: the path of the recording, or the text.
        task: the task's name.
        texts: the texts of the answer by field, as ``"source.text"``.
        audio: the speech of the answer, if it has any.
        codes: the codes of that speech.
        cut: whether a segment was ended by its limit and not by the model.
        seconds: time to compute it; of answers made together, each its share.
    """

    name: str
    task: str
    texts: Mapping[str, str]
    audio: Audio | None
    codes: Codes | None
    cut: bool
    seconds: float

    @property
    def transcript(self) -> str | None:
        """What was said, in the source language."""
        return self.texts.get("source.text")

    @property
    def translation(self) -> str | None:
        """What was said, in the target language."""
        return self.texts.get("target.text")


@dataclass(frozen=True, slots=True)
class Question:
    """An input made ready: its name for messages, its value, and its length where it is a recording."""

    name: str
    value: str | Codes
    seconds: float | None = None


def read_sound(item: Sound) -> Audio:
    """Return a recording.

    Raises:
        InvalidAudio: it cannot be used, or is longer than `LONGEST_S`; the message names it.
    """
    if isinstance(item, Audio):
        return item
    seconds = sound.header(item).seconds
    if seconds > LONGEST_S:
        raise InvalidAudio(f"{item}: {seconds:.0f} s long, more than {LONGEST_S:g} s: cut it into pieces")
    return sound.read(item)


def check_texts(texts: Sequence[Sound]) -> list[str]:
    """Return texts.

    Raises:
        InvalidConfig: one is empty, or no text.
    """
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise InvalidConfig(f"expected a text, got {text!r}")
    return [str(text) for text in texts]


def languages_of(task: Task, source: str | None, target: str | None) -> dict[str, str | Codes]:
    """Return the languages that a task's prompt names, as codes by field.

    Raises:
        InvalidConfig: one is missing or unknown.
    """
    given = {"source": source, "target": target}
    found: dict[str, str | Codes] = {}
    for side in task.languages:
        # A task of one language has but one to be told, whichever side its training data had it on.
        language = given[side] or (next(filter(None, given.values()), None) if len(task.languages) == 1 else None)
        if language is None:
            raise InvalidConfig(f"task {task.tag}: which {side} language? give {side}='French' (--{side} French)")
        found[f"{side}.language"] = language_code(language)
    return found


def input_kind(task: Task) -> str:
    """Return whether a task reads ``"audio"`` or ``"text"``.

    Raises:
        InvalidConfig: it reads something else, or several things.
    """
    if len(task.inputs) != 1 or task.inputs[0].path.startswith("extra."):
        paths = ", ".join(field.path for field in task.inputs)
        raise InvalidConfig(f"task {task.tag}: reads {paths}; only a task that reads one recording or text can be run")
    return task.inputs[0].kind


def context_of(lm: SpeechLM) -> int:
    """Return the longest sequence that the LM's positions allow."""
    return int(getattr(lm.model.config.get_text_config(), "max_position_embeddings", None) or 2**31)
