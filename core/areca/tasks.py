"""Tasks as data: the fields that a task reads, the fields it produces, and its prompt (AudioPaLM, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from areca.errors import InvalidCodes, InvalidConfig, quote
from areca.fields import VOICE, Field, SegmentKind, check_fields
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
    "SegmentKind",
    "Task",
    "TextSegment",
    "Values",
    "VectorSegment",
    "chain",
    "language_code",
    "language_name",
    "values_of",
]

_SIDES = ("source", "target")


@dataclass(frozen=True, slots=True)
class TextSegment:
    """A piece of text in a sequence."""

    text: str


@dataclass(frozen=True, slots=True)
class AudioSegment:
    """A piece of audio in a sequence, as codes.

    Args:
        codes: the codes, of only those streams that the segment holds.
        role: role of the tokenizer that encodes the audio; None: `lm.reads` in a prompt, `lm.writes` in an answer.
        streams: the streams ``[first, stop)`` of the tokenizer; None: all.
    """

    codes: Codes
    role: str | None = None
    streams: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class VectorSegment:
    """A piece of audio in a prompt, as the vectors that its codes quantize: float32 ``[F, D]``."""

    vectors: Tensor


Segment = TextSegment | AudioSegment | VectorSegment
Values = Mapping[str, str | Codes | Tensor]
"""Values of an example by the name of their field: strings for text, ``"source.language": "fr"``, and codes for audio;
or, in the prompt of an LM that reads them, vectors, float32 ``[F, D]``."""


def to_segment(field: Field, values: Values) -> Segment:
    """Return the segment that holds a field's value.

    Raises:
        InvalidCodes: the value is missing, or is codes where text is expected, or text where codes are expected.
    """
    value = values.get(field.name)
    if field.kind == "audio" and isinstance(value, Codes):
        return AudioSegment(value, field.role, field.streams)
    if field.kind == "audio" and isinstance(value, Tensor):
        return VectorSegment(value)
    if field.kind == "text" and isinstance(value, str):
        return TextSegment(value)
    expected = "Codes" if field.kind == "audio" else "a str"
    raise InvalidCodes(f"field {field.name!r}: expected {expected}, got {type(value).__name__}")


def to_value(field: Field, segment: Segment) -> str | Codes:
    """Return the value of a field that `segment` holds.

    Raises:
        InvalidCodes: the segment is text where audio is expected, or audio where text is expected, or its audio has
            another role or other streams.
    """
    if field.kind == "text" and isinstance(segment, TextSegment):
        return segment.text
    if field.kind == "audio" and isinstance(segment, AudioSegment):
        if (segment.role, segment.streams) == (field.role, field.streams):
            return segment.codes
        raise InvalidCodes(
            f"field {field.name!r}: expected role {field.role} and streams {field.streams}, got {segment.role} and "
            f"{segment.streams}"
        )
    raise InvalidCodes(f"field {field.name!r}: expected {field.kind}, got {type(segment).__name__}")


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the LM: its inputs, its outputs and the header of its prompt.

    Args:
        tag: name in the prompt, like ``"ASR"``.
        inputs: fields in the prompt, in order.
        outputs: fields in the answer, in order, without repetition. Each is one segment.
        languages: the sides (``source``, ``target``) whose language the prompt names, ``source`` first.
        format: template of the prompt's first segment, with the placeholders ``{tag}``, ``{languages}``, ``{source}``
            and ``{target}``. If it is empty, the prompt has only the inputs and names no language.

    Raises:
        InvalidConfig: the fields cannot belong to one task (`areca.fields.check_fields`), `languages` contains anything
            but sides, `format` has an unknown placeholder, or nothing comes before an answer that starts with text.

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
        try:
            check_fields(self.inputs, self.outputs)
        except InvalidConfig as e:
            raise InvalidConfig(f"task {quote(self.tag)}: {e}") from e
        if not self.format:
            object.__setattr__(self, "languages", ())
            if not self.inputs and self.outputs[0].kind == "text":
                raise InvalidConfig(
                    f"task {quote(self.tag)}: its prompt is empty, so its answer must start with audio: give it a "
                    "format or an input"
                )
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
        """Return the segments of the prompt: the header if it is not empty, and the inputs.

        Args:
            values: inputs and languages; outputs are not needed.

        Raises:
            InvalidConfig, InvalidCodes: a language or an input field is missing.
        """
        header = self.header(values)
        return [*([TextSegment(header)] if header else []), *(to_segment(field, values) for field in self.inputs)]

    def target(self, values: Values) -> list[Segment]:
        """Return the segments of the answer that the LM is trained to give.

        Raises:
            InvalidCodes: an output field is missing.
        """
        return [to_segment(field, values) for field in self.outputs]

    @property
    def question(self) -> Field:
        """The first input, apart from a voice prompt."""
        return next(field for field in self.inputs if field.path != VOICE)

    @property
    def reads_voice(self) -> bool:
        """Whether an input is a voice prompt."""
        return any(field.path == VOICE for field in self.inputs)

    @property
    def answer_kinds(self) -> tuple[SegmentKind, ...]:
        """Kinds of the answer's segments, in order."""
        return tuple(field.kind for field in self.outputs)

    def parse(self, segments: Sequence[Segment]) -> dict[str, str | Codes]:
        """Return the output values of an answer by the name of their field; the inverse of `target`.

        Raises:
            InvalidCodes: the number, the kinds, the roles or the streams of the segments are not those of the outputs.
        """
        if len(segments) != len(self.outputs):
            raise InvalidCodes(f"{self.tag}: expected {len(self.outputs)} segments, got {len(segments)}")
        return {f.name: to_value(f, segment) for f, segment in zip(self.outputs, segments, strict=True)}

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
    check_chain([(task.tag, TaskSpec(task.inputs, task.outputs)) for task in tasks])
    return Task(
        tag=" ".join(task.tag for task in tasks),
        inputs=first.inputs,
        outputs=tuple(field for task in tasks for field in task.outputs),
        languages=tuple(side for side in _SIDES if any(side in task.languages for task in tasks)),
        format=first.format,
    )


def values_of(utterance: Utterance, codes: Mapping[str, Codes | Tensor]) -> dict[str, str | Codes | Tensor]:
    """Return the values of an utterance, by the name of their field.

    Args:
        utterance: a row of a manifest.
        codes: the codes or vectors of its audio by the name of their field, such as ``"source.audio"``.
    """
    paths = [f"{side}.{name}" for side in _SIDES for name in ("text", "language")]
    paths += [f"extra.{name}" for name in utterance.extra]
    values: dict[str, str | Codes | Tensor] = {p: str(v) for p in paths if (v := _lookup(utterance, p)) is not None}
    return values | dict(codes)


def _lookup(utterance: Utterance, path: str) -> object:
    side, _, name = path.partition(".")
    if side == "extra":
        return utterance.extra.get(name)
    return getattr(utterance, f"target_{name}" if side == "target" else name)


def _language(values: Values, side: str, tag: str) -> str:
    language = values.get(f"{side}.language")
    if not isinstance(language, str):
        raise InvalidConfig(
            f"{tag}: the prompt names the {side} language: give '{side}.language' as a code or an English name"
        )
    return language
