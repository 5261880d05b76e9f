"""Tasks as data: which fields a task reads, which it produces, and what its prompt says (AudioPaLM, section 3.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

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
    "chain",
    "language_code",
    "language_name",
    "values_of",
]

_PATH = re.compile(r"(source|target)\.(audio|text)|extra\.[A-Za-z_][A-Za-z0-9_-]*")
_SIDES = ("source", "target")


@dataclass(frozen=True, slots=True)
class TextSegment:
    """Text in a sequence."""

    text: str


@dataclass(frozen=True, slots=True)
class AudioSegment:
    """Audio in a sequence, as codes."""

    codes: Codes


Segment = TextSegment | AudioSegment
SegmentKind = Literal["text", "audio"]
Values = Mapping[str, str | Codes]
"""An example by field path: codes for audio, strings for the rest; languages as ``"source.language": "fr"``."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an example.

    Args:
        path: ``source.audio``, ``source.text``, ``target.audio``, ``target.text``, or ``extra.<name>`` (text).

    Raises:
        InvalidConfig: another path.
    """

    path: str

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise InvalidConfig(f"field {quote(self.path)}: expected source or target .audio or .text, or extra.<name>")

    @property
    def kind(self) -> SegmentKind:
        """What stands for it in a sequence."""
        return "audio" if self.path.endswith(".audio") else "text"

    def segment(self, values: Values) -> Segment:
        """Return the segment that holds this field's value.

        Raises:
            InvalidCodes: the field is missing, or is codes where text is expected or the reverse.
        """
        value = values.get(self.path)
        if self.kind == "audio" and isinstance(value, Codes):
            return AudioSegment(value)
        if self.kind == "text" and isinstance(value, str):
            return TextSegment(value)
        expected = "Codes" if self.kind == "audio" else "a str"
        raise InvalidCodes(f"field {self.path!r}: expected {expected}, got {type(value).__name__}")

    def value(self, segment: Segment) -> str | Codes:
        """Return the value that `segment` holds.

        Raises:
            InvalidCodes: text where audio is expected, or the reverse.
        """
        if self.kind == "audio" and isinstance(segment, AudioSegment):
            return segment.codes
        if self.kind == "text" and isinstance(segment, TextSegment):
            return segment.text
        raise InvalidCodes(f"field {self.path!r}: expected {self.kind}, got {type(segment).__name__}")


@dataclass(frozen=True, slots=True)
class Task:
    """What the LM is asked for.

    Args:
        tag: its name in the prompt, as ``"ASR"``.
        inputs: fields that the prompt holds, in order.
        outputs: fields that the answer holds, in order; all different.
        languages: the sides whose language the prompt names, ``source`` before ``target``.
        format: the prompt's first segment; ``{tag}``, ``{languages}``, ``{source}`` and ``{target}`` are filled in.

    Raises:
        InvalidConfig: no outputs, one twice, or something else than sides as `languages`.
    """

    tag: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    languages: tuple[str, ...] = ("source",)
    format: str = "[{tag} {languages}]"

    def __post_init__(self) -> None:
        paths = [field.path for field in self.outputs]
        if not paths or len(set(paths)) != len(paths):
            raise InvalidConfig(f"task {quote(self.tag)}: expected outputs that are all different, got {paths}")
        if any(side not in _SIDES for side in self.languages):
            raise InvalidConfig(f"task {quote(self.tag)}: languages are of {_SIDES}, got {quote(self.languages)}")
        try:
            self.header({f"{side}.language": "en" for side in _SIDES})
        except (KeyError, IndexError, ValueError) as e:
            raise InvalidConfig(
                f"task {quote(self.tag)}: format {quote(self.format)} cannot be filled in: {quote(e)}"
            ) from e

    def header(self, values: Values) -> str:
        """Return the prompt's first segment, as ``"[AST French English]"``.

        Raises:
            InvalidConfig: a language that the prompt names is missing or unknown.
        """
        names = {side: language_name(_language(values, side, self.tag)) for side in self.languages}
        sides = dict.fromkeys(_SIDES, "") | names
        line = self.format.format(tag=self.tag, languages=" ".join(names.values()), **sides)
        return line.replace(" ]", "]")  # a task may name no language at all

    def prompt(self, values: Values) -> list[Segment]:
        """Return what the LM is given; needs no output field.

        Raises:
            InvalidConfig, InvalidCodes: a language or an input field is missing.
        """
        return [TextSegment(self.header(values)), *(field.segment(values) for field in self.inputs)]

    def target(self, values: Values) -> list[Segment]:
        """Return what the LM is to answer.

        Raises:
            InvalidCodes: an output field is missing.
        """
        return [field.segment(values) for field in self.outputs]

    @property
    def answer_kinds(self) -> tuple[SegmentKind, ...]:
        """The kinds of the segments that the answer has to consist of."""
        return tuple(field.kind for field in self.outputs)

    def parse(self, segments: Sequence[Segment]) -> dict[str, str | Codes]:
        """Return the output fields that an answer holds, by path; the reverse of `target`.

        Raises:
            InvalidCodes: another number of segments, or one of the wrong kind.
        """
        if len(segments) != len(self.outputs):
            raise InvalidCodes(f"{self.tag}: expected {len(self.outputs)} segments, got {len(segments)}")
        return {f.path: f.value(segment) for f, segment in zip(self.outputs, segments, strict=True)}

    def fields_missing(self, utterance: Utterance) -> tuple[str, ...]:
        """Return the paths, fields and languages, that training this task needs and `utterance` lacks."""
        wanted = [f.path for f in (*self.inputs, *self.outputs)] + [f"{side}.language" for side in self.languages]
        return tuple(path for path in wanted if _lookup(utterance, path) is None)


def chain(tasks: Sequence[Task]) -> Task:
    """Join tasks into one that answers them in order, in one pass: ``[ASR AST S2ST French English]``.

    Its inputs are the first task's, its outputs those of all, its format the first's.

    Raises:
        InvalidConfig: no task.
        IncompatibleParts: a task reads what neither the prompt nor an answer before it holds, or produces a field
            that is there already.
    """
    if not tasks:
        raise InvalidConfig("a chain has at least one task")
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


def values_of(utterance: Utterance, codes: Mapping[str, Codes]) -> dict[str, str | Codes]:
    """Return an utterance's fields.

    Args:
        utterance: a row of a manifest.
        codes: the codes of its ``"audio"`` and ``"target_audio"``, whichever are at hand.
    """
    paths = [f"{side}.{name}" for side in _SIDES for name in ("text", "language")]
    paths += [f"extra.{name}" for name in utterance.extra]
    values: dict[str, str | Codes] = {p: str(v) for p in paths if (v := _lookup(utterance, p)) is not None}
    columns = {"audio": "source.audio", "target_audio": "target.audio"}
    return values | {columns[column]: found for column, found in codes.items()}


def _lookup(utterance: Utterance, path: str) -> object:
    side, _, name = path.partition(".")
    if side == "extra":
        return utterance.extra.get(name)
    return getattr(utterance, name if side == "source" else f"target_{name}")


def _language(values: Values, side: str, tag: str) -> str:
    language = values.get(f"{side}.language")
    if not isinstance(language, str):
        raise InvalidConfig(f"{tag} names the {side} language: give '{side}.language' as a code or an English name")
    return language
