"""Tasks as data: the fields that a task reads, the fields it produces, and its prompt (AudioPaLM, section 3.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from areca.errors import InvalidCodes, InvalidConfig, quote
from areca.languages import LANGUAGES, language_code, language_name
from areca.specs import TaskSpec, check_chain
from areca.types import Codes

if TYPE_CHECKING:
    from areca.rows.columns import Utterance

__all__ = [
    "LANGUAGES",
    "AudioSegment",
    "Field",
    "Segment",
    "Task",
    "TextSegment",
    "Values",
    "VectorSegment",
    "chain",
    "language_code",
    "language_name",
    "values_of",
]

_PATH = re.compile(r"(source|target)\.(audio|text)|extra\.[A-Za-z_][A-Za-z0-9_-]*")
_SIDES = ("source", "target")
AUDIO_COLUMNS = {"source.audio": "audio", "target.audio": "target_audio"}
"""The column of a manifest that holds an audio field, by the field's path."""


@dataclass(frozen=True, slots=True)
class TextSegment:
    """A piece of text in a sequence."""

    text: str


@dataclass(frozen=True, slots=True)
class AudioSegment:
    """A piece of audio in a sequence, as codes."""

    codes: Codes


@dataclass(frozen=True, slots=True)
class VectorSegment:
    """A piece of audio in a prompt, as the vectors that its codes quantize: float32 ``[F, D]``."""

    vectors: Tensor


Segment = TextSegment | AudioSegment | VectorSegment
SegmentKind = Literal["text", "audio"]
Values = Mapping[str, str | Codes | Tensor]
"""Values of an example by field path: strings for text, ``"source.language": "fr"``, and codes for audio; or, in the
prompt of an LM that reads them, vectors, float32 ``[F, D]``."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an example.

    Args:
        path: ``source.audio``, ``source.text``, ``target.audio``, ``target.text``, or ``extra.<name>`` (text).

    Raises:
        InvalidConfig: any other path.

    Example:
        >>> Field("source.audio").kind
        'audio'
    """

    path: str

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise InvalidConfig(
                f"field {quote(self.path)}: expected source.audio, source.text, target.audio, target.text or "
                "extra.<name>"
            )

    @property
    def kind(self) -> SegmentKind:
        """Kind of the segment that holds the field: ``"audio"`` or ``"text"``."""
        return "audio" if self.path.endswith(".audio") else "text"

    def segment(self, values: Values) -> Segment:
        """Return the segment that holds this field's value.

        Raises:
            InvalidCodes: the value is missing, or is codes where text is expected, or text where codes are expected.
        """
        value = values.get(self.path)
        if self.kind == "audio" and isinstance(value, Codes):
            return AudioSegment(value)
        if self.kind == "audio" and isinstance(value, Tensor):
            return VectorSegment(value)
        if self.kind == "text" and isinstance(value, str):
            return TextSegment(value)
        expected = "Codes" if self.kind == "audio" else "a str"
        raise InvalidCodes(f"field {self.path!r}: expected {expected}, got {type(value).__name__}")

    def value(self, segment: Segment) -> str | Codes:
        """Return the value that `segment` holds.

        Raises:
            InvalidCodes: the segment is text where audio is expected, or audio where text is expected.
        """
        if self.kind == "audio" and isinstance(segment, AudioSegment):
            return segment.codes
        if self.kind == "text" and isinstance(segment, TextSegment):
            return segment.text
        raise InvalidCodes(f"field {self.path!r}: expected {self.kind}, got {type(segment).__name__}")


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the LM: its inputs, its outputs and the header of its prompt.

    Args:
        tag: name in the prompt, like ``"ASR"``.
        inputs: fields in the prompt, in order.
        outputs: fields in the answer, in order, without repetition.
        languages: the sides (``source``, ``target``) whose language the prompt names, ``source`` first.
        format: template of the prompt's first segment, with the placeholders ``{tag}``, ``{languages}``, ``{source}``
            and ``{target}``.

    Raises:
        InvalidConfig: `outputs` is empty or repeats a field, `languages` contains anything but sides, or `format` has
            an unknown placeholder.

    Example:
        >>> asr = Task("ASR", inputs=(Field("source.audio"),), outputs=(Field("source.text"),))
        >>> asr.header({"source.language": "fr"})
        '[ASR French]'
    """

    tag: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    languages: tuple[str, ...] = ("source",)
    format: str = "[{tag} {languages}]"

    def __post_init__(self) -> None:
        paths = [field.path for field in self.outputs]
        if not paths or len(set(paths)) != len(paths):
            raise InvalidConfig(f"task {quote(self.tag)}: expected one or more different outputs, got {paths}")
        if any(side not in _SIDES for side in self.languages):
            raise InvalidConfig(
                f"task {quote(self.tag)}: expected languages from {_SIDES}, got {quote(self.languages)}"
            )
        try:
            self.header({f"{side}.language": "en" for side in _SIDES})
        except (KeyError, IndexError, ValueError) as e:
            raise InvalidConfig(
                f"task {quote(self.tag)}: format {quote(self.format)} cannot be filled in: {quote(e)}"
            ) from e

    def header(self, values: Values) -> str:
        """Return the text of the prompt's first segment, like ``"[AST French English]"``.

        Raises:
            InvalidConfig: a language that the prompt names is missing or unknown.
        """
        names = {side: language_name(_language(values, side, self.tag)) for side in self.languages}
        sides = dict.fromkeys(_SIDES, "") | names
        line = self.format.format(tag=self.tag, languages=" ".join(names.values()), **sides)
        return line.replace(" ]", "]")  # for a task whose prompt names no language

    def prompt(self, values: Values) -> list[Segment]:
        """Return the segments of the prompt: the header and the inputs. `values` needs no output fields.

        Raises:
            InvalidConfig, InvalidCodes: a language or an input field is missing.
        """
        return [TextSegment(self.header(values)), *(field.segment(values) for field in self.inputs)]

    def target(self, values: Values) -> list[Segment]:
        """Return the segments of the answer that the LM is trained to give.

        Raises:
            InvalidCodes: an output field is missing.
        """
        return [field.segment(values) for field in self.outputs]

    @property
    def answer_kinds(self) -> tuple[SegmentKind, ...]:
        """Kinds of the answer's segments, in order."""
        return tuple(field.kind for field in self.outputs)

    def parse(self, segments: Sequence[Segment]) -> dict[str, str | Codes]:
        """Return the output values of an answer, by field path; the inverse of `target`.

        Raises:
            InvalidCodes: the number or the kinds of the segments are not those of the outputs.
        """
        if len(segments) != len(self.outputs):
            raise InvalidCodes(f"{self.tag}: expected {len(self.outputs)} segments, got {len(segments)}")
        return {f.path: f.value(segment) for f, segment in zip(self.outputs, segments, strict=True)}

    def fields_missing(self, utterance: Utterance) -> tuple[str, ...]:
        """Return the paths of fields and languages that training this task needs and `utterance` does not have."""
        needed = [f.path for f in (*self.inputs, *self.outputs)] + [f"{side}.language" for side in self.languages]
        return tuple(path for path in needed if _lookup(utterance, path) is None)


def chain(tasks: Sequence[Task]) -> Task:
    """Combine tasks into one task that answers them in order in one pass: ``[ASR AST S2ST French English]``.

    The chain has the inputs and the format of the first task, and the outputs of all tasks.

    Args:
        tasks: the tasks, in order.

    Raises:
        InvalidConfig: `tasks` is empty.
        IncompatibleParts: a task reads a field that neither the prompt nor an earlier answer contains, or produces a
            field that already exists.
    """
    if not tasks:
        raise InvalidConfig("chain: expected at least one task, got none")
    first = tasks[0]
    check_chain([(task.tag, TaskSpec(_paths(task.inputs), _paths(task.outputs))) for task in tasks])
    return Task(
        tag=" ".join(task.tag for task in tasks),
        inputs=first.inputs,
        outputs=tuple(field for task in tasks for field in task.outputs),
        languages=tuple(side for side in _SIDES if any(side in task.languages for task in tasks)),
        format=first.format,
    )


def _paths(fields: Sequence[Field]) -> tuple[str, ...]:
    return tuple(field.path for field in fields)


def values_of(utterance: Utterance, codes: Mapping[str, Codes | Tensor]) -> dict[str, str | Codes | Tensor]:
    """Return the values of an utterance, by field path.

    Args:
        utterance: a row of a manifest.
        codes: the codes or vectors of its columns ``"audio"`` and ``"target_audio"``, if available.
    """
    paths = [f"{side}.{name}" for side in _SIDES for name in ("text", "language")]
    paths += [f"extra.{name}" for name in utterance.extra]
    values: dict[str, str | Codes | Tensor] = {p: str(v) for p in paths if (v := _lookup(utterance, p)) is not None}
    return values | {path: codes[column] for path, column in AUDIO_COLUMNS.items() if column in codes}


def _lookup(utterance: Utterance, path: str) -> object:
    side, _, name = path.partition(".")
    if side == "extra":
        return utterance.extra.get(name)
    return getattr(utterance, name if side == "source" else f"target_{name}")


def _language(values: Values, side: str, tag: str) -> str:
    language = values.get(f"{side}.language")
    if not isinstance(language, str):
        raise InvalidConfig(
            f"{tag}: the prompt names the {side} language: give '{side}.language' as a code or an English name"
        )
    return language
