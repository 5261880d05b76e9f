"""Specs: what is known of a component before its weights are loaded, to check that parts are compatible. No torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from areca.component import COMPONENT_NAME, Kind, check_tags
from areca.errors import IncompatibleParts, InvalidConfig, quote
from areca.fields import Field, check_fields

_STREAM_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Stream:
    """One sequence of discrete codes that a tokenizer emits.

    Args:
        name: what the codes stand for, such as ``"semantic"`` or ``"rvq-3"``: lowercase letters, digits and ``-``.
        size: number of distinct codes; codes are in ``[0, size)``.
        frame_rate_hz: codes per second; None: the rate varies, as that of deduplicated codes, which have durations.

    Raises:
        ValueError: a field breaks one of these rules.
    """

    name: str
    size: int
    frame_rate_hz: float | None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _STREAM_NAME.fullmatch(self.name):
            raise ValueError(f"stream name {quote(self.name)}: expected lowercase letters, digits and '-'")
        if not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"stream {self.name!r}: size must be at least 1, got {self.size!r}")
        rate = self.frame_rate_hz
        if rate is not None and not (isinstance(rate, (int, float)) and rate > 0):
            raise ValueError(f"stream {self.name!r}: frame_rate_hz must be positive, got {rate!r}")

    def __str__(self) -> str:
        rate = "variable rate" if self.frame_rate_hz is None else f"{self.frame_rate_hz:g} Hz"
        return f"{self.name}[{self.size}] at {rate}"


def _check_streams(streams: object) -> None:
    if not isinstance(streams, tuple) or not streams or not all(isinstance(s, Stream) for s in streams):
        raise ValueError(f"streams is {quote(streams)}, expected a tuple of areca.specs.Stream")


def _check_counts(**values: object) -> None:
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} is {quote(value)}, expected a whole number, 1 or more")


def _check_texts(**values: object) -> None:
    for name, value in values.items():
        if not isinstance(value, tuple) or not all(isinstance(text, str) for text in value):
            raise ValueError(f"{name} is {quote(value)}, expected a tuple of texts")


def _describe_audio(languages: tuple[str, ...], sample_rate_hz: int | None) -> str:
    rate = "any rate" if sample_rate_hz is None else f"{sample_rate_hz} Hz"
    return f"{', '.join(languages) or 'any language'}, {rate}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """Base class of specs of components whose capabilities may depend on their options or needs.

    A spec function states only what the component's own `tags` do not. In a spec among the needs of another component,
    and in that of a part, core has added the component's `tags`.

    Args:
        tags: capabilities, see `areca.component.TAGS`; not ``fit`` and ``resume``.

    Raises:
        ValueError: a tag is unknown.
    """

    tags: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not isinstance(self.tags, frozenset) or not all(isinstance(tag, str) for tag in self.tags):
            raise ValueError(f"tags is {quote(self.tags)}, expected a set, as frozenset({{'stream'}})")
        check_tags(self.tags, "tags")


@dataclass(frozen=True, slots=True)
class TokenizerSpec(Tagged):
    """The streams that a tokenizer emits, and the audio that it takes.

    Args:
        streams: the streams, in the order of `areca.types.Codes.streams`.
        sample_rate_hz, channels: format of the audio. Core resamples and mixes down before it calls the tokenizer.
        base_rate_hz: durations of codes count frames of this rate; None: codes have no durations.
        feature_size: dimensions of the vectors that the first stream's codes quantize (tag ``features``); None: there
            are no vectors, or their size is known only after the tokenizer is trained or loaded.
    """

    streams: tuple[Stream, ...]
    sample_rate_hz: int
    channels: int = 1
    base_rate_hz: float | None = None
    feature_size: int | None = None

    def __post_init__(self) -> None:
        Tagged.__post_init__(self)
        _check_streams(self.streams)
        _check_counts(sample_rate_hz=self.sample_rate_hz, channels=self.channels)
        if self.feature_size is not None:
            _check_counts(feature_size=self.feature_size)

    def __str__(self) -> str:
        vectors = "" if self.feature_size is None else f", vectors of {self.feature_size}"
        return f"{' + '.join(map(str, self.streams))}{vectors}, from {self.sample_rate_hz} Hz x {self.channels}"

    @property
    def unit_s(self) -> float:
        """Seconds that one code of the slowest stream lasts; 0: all rates vary."""
        rates = [rate for rate in (self.base_rate_hz, *(s.frame_rate_hz for s in self.streams)) if rate is not None]
        return 1 / min(rates) if rates else 0.0


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """A text LM's architecture family (a transformers ``model_type``) and number of parameters (None: not known)."""

    family: str
    parameters: int | None = None

    def __str__(self) -> str:
        return self.family if self.parameters is None else f"{self.family}, {self.parameters / 1e6:.1f} M parameters"


@dataclass(frozen=True, slots=True)
class VocoderSpec(Tagged):
    """The streams that a vocoder turns into audio, usually those of a tokenizer it needs, and the audio's rate."""

    streams: tuple[Stream, ...]
    sample_rate_hz: int

    def __post_init__(self) -> None:
        Tagged.__post_init__(self)
        _check_streams(self.streams)
        _check_counts(sample_rate_hz=self.sample_rate_hz)

    def __str__(self) -> str:
        return f"{' + '.join(map(str, self.streams))} to {self.sample_rate_hz} Hz"


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """The fields that a task reads and those that it produces, in order.

    Args:
        inputs, outputs: paths such as ``"source.audio"``, or `areca.fields.Field` with a role, streams or a crop.

    Raises:
        ValueError: anything else, or fields that one task cannot have (`areca.fields.check_fields`).
    """

    inputs: tuple[str | Field, ...]
    outputs: tuple[str | Field, ...]

    def __post_init__(self) -> None:
        for name, value in (("inputs", self.inputs), ("outputs", self.outputs)):
            if not isinstance(value, tuple) or not all(isinstance(field, (str, Field)) for field in value):
                raise ValueError(f"{name} is {quote(value)}, expected a tuple of paths or areca.fields.Field")
        try:
            check_fields(self.input_fields, self.output_fields)
        except InvalidConfig as e:  # the caller names the component
            raise ValueError(str(e)) from e

    @property
    def input_fields(self) -> tuple[Field, ...]:
        """The inputs as fields."""
        return tuple(Field(field) if isinstance(field, str) else field for field in self.inputs)

    @property
    def output_fields(self) -> tuple[Field, ...]:
        """The outputs as fields."""
        return tuple(Field(field) if isinstance(field, str) else field for field in self.outputs)

    def with_roles(self, reads: str, writes: str) -> TaskSpec:
        """Return the spec with a role for each audio field: by default `reads` for inputs and `writes` for outputs."""
        sides = (self.input_fields, reads), (self.output_fields, writes)
        return TaskSpec(*(tuple(field.with_role(role) for field in fields) for fields, role in sides))

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.inputs))} -> {', '.join(map(str, self.outputs))}"


def check_chain(links: Sequence[tuple[str, TaskSpec]]) -> None:
    """Refuse tasks that cannot be answered in order, in one pass.

    The prompt holds the inputs of the first task. Each task may also read the outputs of earlier tasks.

    Args:
        links: name and spec of each task; at least one.

    Raises:
        IncompatibleParts: a task reads a field that neither the prompt nor an earlier task provides, or two tasks
            produce the same field.
    """
    known = {field.name for field in links[0][1].input_fields}
    for name, spec in links:
        if missing := [field.name for field in spec.input_fields if field.name not in known]:
            raise IncompatibleParts(f"{name} reads {', '.join(missing)}, which nothing before it in the chain holds")
        known |= {field.name for field in spec.output_fields}
    outputs = [field.name for _, spec in links for field in spec.output_fields]
    if repeated := sorted({field for field in outputs if outputs.count(field) > 1}):
        raise IncompatibleParts(f"two tasks of the chain produce the same field ({', '.join(repeated)})")


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """What the rows of a dataset have.

    Args:
        languages: their languages (ISO 639-1); empty: not known.
        sample_rate_hz: rate of their audio; None: it varies.
        fields: the fields that rows may have, as tasks name them, such as ``("source.audio", "source.text")``. Tasks
            that need others are refused. None: not known.

    Raises:
        ValueError: a field breaks one of these rules.
    """

    languages: tuple[str, ...]
    sample_rate_hz: int | None
    fields: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _check_texts(languages=self.languages)
        if self.sample_rate_hz is not None:
            _check_counts(sample_rate_hz=self.sample_rate_hz)
        if self.fields is not None:
            try:
                list(map(Field, self.fields))
            except InvalidConfig as e:  # the caller names the component
                raise ValueError(str(e)) from e

    def __str__(self) -> str:
        fields = "" if self.fields is None else f", only {', '.join(self.fields)}"
        return _describe_audio(self.languages, self.sample_rate_hz) + fields


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """The languages a judge recognises (ISO 639-1; empty: any) and the audio it takes."""

    languages: tuple[str, ...]
    sample_rate_hz: int

    def __post_init__(self) -> None:
        _check_texts(languages=self.languages)
        _check_counts(sample_rate_hz=self.sample_rate_hz)

    def __str__(self) -> str:
        return _describe_audio(self.languages, self.sample_rate_hz)


INPUTS = ("answer", "reference", "question", "voice")
"""The fields of an `areca.types.Example` that a metric may read."""


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """What a metric reads, and how its score is shown.

    Args:
        reads: ``"text"``: written answers, and each judge's transcript of spoken ones; ``"audio"``: the recordings.
        header: title of its column in a report, such as ``"WER %"``.
        higher_is_better: whether a higher score means a better answer; None: neither, as for a ratio that should be 1.
        scale: factor by which reports multiply the score: 100 for a share in percent.
        digits: number of digits after the decimal point that reports show.
        fault: whether it finds a fault: an example's score is above 0 if the answer has it. Reports have a separate
            table of faults, and play answers with faults first.
        inputs: those of `INPUTS` that it reads; an example that lacks one is left out.
        languages: languages of the answers that it scores (ISO 639-1); empty: any.
        sample_rate_hz: rate of the mono audio that it receives; None for text.
        normalised: whether the normaliser is applied to the texts first; False: they stay as written.

    Raises:
        ValueError: a field breaks one of these rules.
    """

    reads: Literal["text", "audio"]
    header: str
    higher_is_better: bool | None = True
    scale: float = 1.0
    inputs: tuple[str, ...] = ("answer", "reference")
    languages: tuple[str, ...] = ()
    sample_rate_hz: int | None = None
    normalised: bool = True
    digits: int = 1
    fault: bool = False

    def __post_init__(self) -> None:
        if self.reads not in ("text", "audio"):
            raise ValueError(f"reads is {quote(self.reads)}, expected 'text' or 'audio'")
        if not isinstance(self.header, str) or not self.header.strip():
            raise ValueError(f"header is {quote(self.header)}, expected the title of a column, such as 'WER %'")
        _check_texts(inputs=self.inputs, languages=self.languages)
        if unknown := sorted(set(self.inputs) - set(INPUTS)):
            raise ValueError(f"inputs has {', '.join(unknown)}; expected some of {', '.join(INPUTS)}")
        if (self.sample_rate_hz is None) == (self.reads == "audio"):
            raise ValueError(f"sample_rate_hz is {self.sample_rate_hz}: a metric needs one exactly if it reads audio")
        if self.sample_rate_hz is not None:
            _check_counts(sample_rate_hz=self.sample_rate_hz)
        if self.digits not in range(10):
            raise ValueError(f"digits is {quote(self.digits)}, expected a whole number from 0 to 9")

    def __str__(self) -> str:
        rate = "" if self.sample_rate_hz is None else f" at {self.sample_rate_hz} Hz"
        return f"{self.reads}{rate}, {', '.join(self.languages) or 'any language'}: {', '.join(self.inputs)}"


@dataclass(frozen=True, slots=True)
class NormaliserSpec:
    """The languages whose texts a normaliser reads (ISO 639-1; empty: any)."""

    languages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_texts(languages=self.languages)

    def __str__(self) -> str:
        return ", ".join(self.languages) or "any language"


@runtime_checkable
class Order(Protocol):
    """The order of the codes of several streams in one sequence, for any number of frames.

    A frame is one code of the slowest stream and ``per_frame[k]`` codes of stream k.
    """

    def sequence(self, per_frame: Sequence[int], frames: int) -> list[int]:
        """Return the number of the stream at each position of `frames` frames; codes of a stream keep their order."""

    def turn(self, per_frame: Sequence[int], frames: int) -> int:
        """Return the first position at which the sequence of `frames` frames differs from every longer one.

        At this position the shorter sequence ends, or it has a code of stream k + 1 and longer ones of stream k.
        """

    def widths(self, per_frame: Sequence[int], frames: int) -> list[int]:
        """Return the number of codes in each step of `frames` frames; their sum is the length of `sequence`.

        The codes of a step share one position of the LM. They belong to different streams, in the order of the streams.
        Only the order of a pattern that is ``parallel`` has steps of several codes.
        """


@dataclass(frozen=True, slots=True)
class PatternSpec:
    """The order of several streams in one sequence. No torch.

    Args:
        order: the order.
        one_rate: whether the streams must have the same rate.
        parallel: whether the codes of a step share one position of the LM; they then have one rate.

    Raises:
        ValueError: `order` lacks a method, or parallel streams may have different rates.
    """

    order: Order
    one_rate: bool = False
    parallel: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.order, Order):
            raise ValueError(f"order is {quote(self.order)}, expected an areca.specs.Order: sequence, turn and widths")
        if self.parallel and not self.one_rate:
            raise ValueError("parallel is True: expected one_rate=True, because the codes of a step share a position")

    def __str__(self) -> str:
        if self.parallel:
            return "streams of one rate, in parallel"
        return "streams of one rate" if self.one_rate else "streams whose rates are multiples of the slowest"


@dataclass(frozen=True, slots=True)
class DecodingSpec:
    """What a decoding method is able to do.

    Args:
        random: whether it draws at random, so that the answer depends on the seed.
        parallel: whether it supports patterns with several codes a step.
    """

    random: bool = False
    parallel: bool = True

    def __str__(self) -> str:
        limit = "" if self.parallel else "; not for parallel patterns"
        return ("random, repeatable by seed" if self.random else "deterministic") + limit


@dataclass(frozen=True, slots=True)
class OptimizerSpec:
    """The memory of an optimizer.

    Args:
        state_elements: returns how many float32 values the optimizer keeps between steps for a parameter of a given
            shape. Scalars are not counted; a value of n bytes counts as n / 4. It is arithmetic without torch, from
            which ``areca train --dry-run`` computes the memory.
    """

    state_elements: Callable[[tuple[int, ...]], int]

    def __post_init__(self) -> None:
        if not callable(self.state_elements):
            raise ValueError(
                f"state_elements is {quote(self.state_elements)}, expected a function of a parameter's shape, as "
                "lambda shape: 2 * math.prod(shape)"
            )
        for shape in ((4,), (4, 3)):
            count = self.state_elements(shape)
            if not isinstance(count, int) or count < 0:
                raise ValueError(f"state_elements({shape}) is {quote(count)}, expected a whole number, 0 or more")

    def __str__(self) -> str:
        side = 1024
        return f"keeps {self.state_elements((side, side)) / side**2:.3g} values for each element of a matrix"


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """The factor on the highest learning rate at the last step; None: it depends on the number of steps."""

    last: float | None = None

    def __post_init__(self) -> None:
        if self.last is not None and not (isinstance(self.last, (int, float)) and 0 <= self.last <= 1):
            raise ValueError(f"last is {quote(self.last)}, expected a number in [0, 1], or None")

    def __str__(self) -> str:
        if self.last is None:
            return "the last learning rate depends on the number of steps"
        return f"the last learning rate is {self.last:g} x the highest"


Spec = Any
"""The spec of a component: an instance of a class above, or of the class of a kind that a plugin adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSpec:
    """A kind of component.

    Args:
        name: as in ``Component(kind=...)``; lowercase words joined by ``-``.
        spec: class of its components' specs. ``areca validate`` prints ``str(spec)``.
        checks: module whose functions ``check_...(checked)`` are its conformance checks; None: it has no checks of its
            own, only those of every kind.
        templates: ``"package:folder"`` with ``light.py.txt`` and ``heavy.py.txt`` for ``areca new``; None: no template.
        place: key of a component in a run's YAML, such as ``"tokenizer:"`` or, in a list, ``"tasks: -"``; None: a run
            does not name one.

    Raises:
        ValueError, TypeError: a field breaks one of the rules above.
    """

    name: str
    spec: type[Any]
    checks: str | None = None
    templates: str | None = None
    place: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not COMPONENT_NAME.fullmatch(self.name):
            raise ValueError(f"kind name {quote(self.name)}: expected lowercase words joined by '-', like 'metric'")
        if not isinstance(self.spec, type):
            raise TypeError(f"spec of kind {self.name!r}: expected a class, got {quote(self.spec)}")
        if self.templates is not None and not (isinstance(self.templates, str) and self.templates.count(":") == 1):
            raise TypeError(f"templates of kind {self.name!r}: expected 'package:folder', got {quote(self.templates)}")


def _kind(kind: Kind, spec: type[Any], *, place: str | None = None) -> KindSpec:
    return KindSpec(
        name=kind,
        spec=spec,
        checks=f"areca.testing.{kind}",
        templates=f"areca.cli:templates/{kind}",
        place=place,
    )


KINDS = (
    _kind(Kind.TOKENIZER, TokenizerSpec, place="tokenizer:"),
    _kind(Kind.BACKBONE, BackboneSpec, place="backbone:"),
    _kind(Kind.VOCODER, VocoderSpec, place="vocoder:"),
    _kind(Kind.TASK, TaskSpec, place="tasks: -"),
    _kind(Kind.DATASET, DatasetSpec, place="data:"),
    _kind(Kind.JUDGE, JudgeSpec),
    _kind(Kind.METRIC, MetricSpec),
    _kind(Kind.NORMALISER, NormaliserSpec),
    _kind(Kind.PATTERN, PatternSpec, place="lm: pattern:"),
    _kind(Kind.DECODING, DecodingSpec, place="evaluation: decoding:"),
    _kind(Kind.OPTIMIZER, OptimizerSpec, place="training: optimizer:"),
    _kind(Kind.SCHEDULE, ScheduleSpec, place="training: schedule:"),
)
"""The kinds of areca itself, in the order of ``areca list``."""
