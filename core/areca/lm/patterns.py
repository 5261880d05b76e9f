"""Convert codes to ids of the joint vocabulary and back, and determine which ids may come next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, Self

import torch

from areca.component import Kind
from areca.errors import InvalidArtifact, InvalidCodes, format_error, quote
from areca.lm.steps import Steps
from areca.lm.vocabulary import Control, Vocabulary
from areca.options import canonical
from areca.patterns import codes_per_frame
from areca.registry.parts import Part, choose
from areca.registry.registry import Registry
from areca.specs import PatternSpec, Stream
from areca.types import Codes, require_codes

_SLACK_FRAMES = 2
"""Maximum difference in length of a tokenizer's streams, in frames; the conformance kit allows each stream as much."""


class State(NamedTuple):
    """The state of an audio segment: the number of ids so far, and its length in frames (0: not decided yet)."""

    position: int
    frames: int


class Allowed(NamedTuple):
    """The ids that may come next: those in ``[start, stop)`` and the control `end` (-1: the segment may not end)."""

    start: int
    stop: int
    end: int = -1

    @property
    def is_forced(self) -> bool:
        """Whether `end` is the only id."""
        return self.start == self.stop

    def id(self, column: int) -> int:
        """Return the id that a column of the allowed logits stands for; `end` has the last column."""
        return self.start + column if self.start + column < self.stop else self.end

    def column(self, i: int) -> int | None:
        """Return the column of the allowed logits that stands for id `i`; None: it is not allowed."""
        if self.start <= i < self.stop:
            return i - self.start
        return self.stop - self.start if i == self.end else None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A stream pattern in a layout: its component and its order.

    Args:
        component: the component's qualified name, such as ``"areca:patterns/delay"``.
        revision: the component's revision.
        options: the component's options, without runtime options.
        spec: the order.
    """

    component: str
    revision: int
    options: Mapping[str, Any] = field(hash=False)
    spec: PatternSpec = field(compare=False)

    @classmethod
    def of(cls, part: Part) -> Self:
        """Return the pattern of a part of the kind ``pattern``."""
        return cls(part.entry.qualified, part.entry.component.revision, canonical(part.config), part.spec)

    def to_json(self) -> dict[str, Any]:
        """Return the pattern as JSON values, for `from_json`."""
        return {"component": self.component, "revision": self.revision, "options": dict(self.options)}

    @classmethod
    def from_json(cls, values: Any, registry: Registry) -> Self:
        """Resolve the pattern from the values of `to_json`.

        Raises:
            InvalidArtifact: a value is missing or wrong, or the component now has a revision that gives another order.
            UnknownComponent: the component is not installed; the message says what to type.
        """
        try:
            name, revision, options = values["component"], values["revision"], dict(values["options"])
        except (KeyError, TypeError, ValueError) as e:
            raise InvalidArtifact(f"pattern: expected component, revision and options, got {quote(values)}") from e
        part = choose(registry, Kind.PATTERN, {**options, "name": name}, option="pattern")
        component = part.entry.component
        if revision not in {component.revision, *component.loads_revisions}:
            provider = part.entry.provider
            raise InvalidArtifact(
                f"the LM was trained with revision {quote(revision)} of the pattern {part.entry.qualified}; "
                f"{provider.distribution} {provider.version} has revision {component.revision}, which orders codes "
                "differently: install the version that it was trained with, or train it again"
            )
        return cls.of(part)


@dataclass(frozen=True)
class CodeLayout:
    """The streams of one role as a sequence of ids.

    Args:
        vocabulary: the joint vocabulary; has the role's streams.
        role: role of the tokenizer whose codes these are, such as ``"speech"``.
        streams: the streams of that tokenizer, or those from `first` on.
        pattern: the order of several streams; None: there is one stream.
        first: number of the first of `streams` in the tokenizer; see `part`.

    Raises:
        InvalidConfig: the vocabulary lacks the streams.
        IncompatibleParts: the pattern cannot join these streams.
        InvalidCodes: a stream's size is not the vocabulary's.
    """

    vocabulary: Vocabulary
    role: str
    streams: tuple[Stream, ...]
    pattern: Pattern | None = None
    first: int = 0

    def __post_init__(self) -> None:
        for stream, span in zip(self.streams, self.spans, strict=True):
            if stream.size != len(span):
                raise InvalidCodes(f"stream {stream} of {self.role!r}: the vocabulary holds {len(span)} codes of it")
        if any(a.stop != b.start for a, b in pairwise(self.spans)):
            raise InvalidCodes(f"the streams of {self.role!r} are not side by side in the vocabulary")
        _ = self.per_frame

    @cached_property
    def spans(self) -> tuple[range, ...]:
        """The ids of each stream."""
        return tuple(self.vocabulary.span(f"{self.role}/{self.first + k}") for k in range(len(self.streams)))

    @cached_property
    def per_frame(self) -> tuple[int, ...]:
        """Number of codes of each stream in a frame."""
        return codes_per_frame(self.streams, None if self.pattern is None else self.pattern.spec)

    @property
    def frame_rate_hz(self) -> float | None:
        """Frames per second; None: the rate varies."""
        rates = [stream.frame_rate_hz for stream in self.streams if stream.frame_rate_hz is not None]
        return min(rates) if rates else None

    def part(self, streams: tuple[int, int] | None) -> CodeLayout:
        """Return the layout of only the streams ``[first, stop)``, in the same pattern; None: all.

        Raises:
            InvalidCodes: the layout does not have these streams.
        """
        if streams is None or streams == (0, len(self.streams)):
            return self
        first, stop = streams
        if not 0 <= first < stop <= len(self.streams):
            raise InvalidCodes(f"streams {streams} of {self.role!r}: expected two of 0 to {len(self.streams)}")
        return replace(self, streams=self.streams[first:stop], first=self.first + first)

    def order(self, frames: int) -> list[int]:
        """Return the stream of each position in the sequence of `frames` frames."""
        if self.pattern is None or len(self.streams) == 1:  # codes of one stream keep their order
            return [0] * (frames * self.per_frame[0])
        return self.pattern.spec.order.sequence(self.per_frame, frames)

    def turn(self, frames: int) -> int:
        """Return the first position at which `frames` frames differ from longer ones; see `areca.specs.Order.turn`."""
        if self.pattern is None or len(self.streams) == 1:
            return frames * self.per_frame[0]
        return self.pattern.spec.order.turn(self.per_frame, frames)

    @property
    def delays_frames(self) -> bool:
        """Whether the first whole frame comes later in a longer sequence, as in `coarse-first`."""
        frames = 2 * len(self.streams) + 2  # more than a delay of one frame for each stream
        return self._find_first_frame(frames) != self._find_first_frame(2 * frames)

    def _find_first_frame(self, frames: int) -> int:
        """Return the position of the last code of the first frame."""
        missing = [*self.per_frame]
        for position, stream in enumerate(self.order(frames)):
            missing[stream] -= 1
            if max(missing) <= 0:
                return position
        raise AssertionError("a sequence holds its first frame")

    @property
    def is_parallel(self) -> bool:
        """Whether a step holds the codes of several streams."""
        return self.pattern is not None and self.pattern.spec.parallel and len(self.streams) > 1

    @property
    def slots(self) -> int:
        """Maximum number of ids in a step."""
        return len(self.streams) if self.is_parallel else 1

    def widths(self, frames: int) -> list[int]:
        """Return the number of ids in each step of `frames` frames."""
        if self.pattern is None or not self.is_parallel:
            return [1] * (frames * sum(self.per_frame))
        return self.pattern.spec.order.widths(self.per_frame, frames)

    def frames_within(self, steps: int) -> int:
        """Return how many frames fit into `steps` steps; at least 1."""
        return max(1, steps - len(self.widths(1)) + 1 if self.is_parallel else steps // sum(self.per_frame))

    def steps(self, codes: Codes) -> Steps:
        """Return the steps of an utterance's codes; see `encode`."""
        ids = torch.tensor(self.encode(codes), dtype=torch.int64)
        if not self.is_parallel:
            return Steps.of(ids)
        frames = len(ids) // len(self.streams)
        return Steps(ids, torch.tensor(self.widths(frames)), torch.tensor(self.order(frames)))

    def encode(self, codes: Codes) -> list[int]:
        """Return the ids of an utterance's codes; durations are left out.

        Streams that differ in length by at most two frames are cut to the whole frames that all of them have.

        Raises:
            InvalidCodes: other streams, a code out of range, or lengths that differ by more.
        """
        require_codes([codes], self.streams)
        lengths = [len(x) / n for x, n in zip(codes.streams, self.per_frame, strict=True)]
        frames = int(min(lengths))
        if frames < 1 or max(lengths) - frames > _SLACK_FRAMES:
            counts = [len(x) for x in codes.streams]
            raise InvalidCodes(f"streams of {self.role!r} have {counts} codes, {list(self.per_frame)} to a frame")
        if len(self.streams) == 1:
            return [int(i) for i in (codes.streams[0] + self.spans[0].start).tolist()]
        feeds = [iter((x + s.start).tolist()) for x, s in zip(codes.streams, self.spans, strict=True)]
        return [next(feeds[k]) for k in self.order(frames)]

    def decode(self, ids: list[int]) -> Codes:
        """Return the codes of `ids`, which do not include the controls around them.

        Raises:
            InvalidCodes: ids that are not whole frames in this pattern's order.
        """
        frames = len(ids) // sum(self.per_frame)
        order = self.order(frames)
        streams: list[list[int]] = [[] for _ in self.streams]
        if not frames or len(order) != len(ids):
            raise InvalidCodes(f"{len(ids)} ids of {self.role!r}: expected {sum(self.per_frame)} to a frame")
        for position, (k, i) in enumerate(zip(order, ids, strict=True)):
            if i not in self.spans[k]:
                raise InvalidCodes(
                    f"id {i} at {position}: expected one of {self.role}/{self.first + k}, {self.spans[k]}"
                )
            streams[k].append(i - self.spans[k].start)
        return Codes(tuple(torch.tensor(s, dtype=torch.int64) for s in streams))

    def to_json(self) -> dict[str, Any]:
        """Return the layout as JSON values, for `from_json`."""
        pattern = self.pattern and self.pattern.to_json()
        return {"role": self.role, "pattern": pattern, "streams": [asdict(stream) for stream in self.streams]}

    @classmethod
    def from_json(cls, vocabulary: Vocabulary, values: Any, registry: Registry) -> CodeLayout:
        """Build a layout from the values of `to_json`.

        Raises:
            InvalidArtifact: a value is missing or of the wrong type, or the pattern has another revision.
            UnknownComponent: the pattern is not installed.
        """
        try:
            streams = tuple(Stream(**stream) for stream in values["streams"])
            role, stored = values["role"], values["pattern"]
            pattern = None if stored is None else Pattern.from_json(stored, registry)
            return cls(vocabulary, role, streams, pattern)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as e:
            raise InvalidArtifact(f"code layout: expected role, pattern and streams; {format_error(e)}") from e

    def grammar(self, max_frames: int, *, exact: bool = False) -> Grammar:
        """Return the rules for the ids of a segment of 1 to `max_frames` frames, or of exactly `max_frames`."""
        return _cached_grammar(self, max_frames, exact)


class Grammar:
    """The rules for the ids of an audio segment; `CodeLayout.grammar` returns one.

    The length of a segment is open until an id decides it. Where a shorter sequence turns (`areca.specs.Order.turn`),
    the end or an id of the next stream decides for that length. In a parallel pattern, only the end decides; the
    segment then goes on until all streams have ended (`decide`).

    Args:
        layout: the streams as a sequence of ids.
        max_frames: frames after which the segment has to end; at least 1.
        exact: whether it cannot end before.

    Raises:
        InvalidCodes: `max_frames` is less than 1.
    """

    start = State(0, 0)

    def __init__(self, layout: CodeLayout, max_frames: int, exact: bool = False) -> None:
        if max_frames < 1:
            raise InvalidCodes(f"an audio segment has at least one frame, got a limit of {max_frames}")
        self.layout = layout
        self.max_frames = max_frames
        self._exact = exact
        self._end = layout.vocabulary.control(Control.END_AUDIO)
        # The order while the length is open, and the frames that each turn stands for.
        self._open = layout.order(max_frames)
        self._turns = {layout.turn(n): n for n in range(max_frames if exact else 1, max_frames + 1)}
        self._closed = lru_cache(maxsize=64)(layout.order)
        self._starts = lru_cache(maxsize=64)(lambda frames: frozenset(accumulate(layout.widths(frames), initial=0)))

    def allowed(self, state: State) -> Allowed:
        """Return the ids that may come next in a state that `advance` returned."""
        position, frames = state
        if frames:
            return self._allow_in(frames, position)
        longer = self.layout.spans[self._open[position]]
        if (turn := self._turns.get(position)) is None:
            return Allowed(longer.start, longer.stop)
        # The segment may go on, or turn: end here, or go on with the next stream, whose ids follow in the vocabulary.
        turning = self._allow_in(turn, position)
        if turning.is_forced or self.layout.is_parallel:
            return Allowed(longer.start, longer.stop, self._end)
        return Allowed(longer.start, turning.stop)

    def decide(self, state: State) -> State | None:
        """Return the state after the end was chosen, if streams other than the first go on; None: the segment ends."""
        position, frames = state
        if frames or not self.layout.is_parallel or position not in self._turns:
            return None
        frames = self._turns[position]
        return State(position, frames) if position < len(self._closed(frames)) else None

    def slot(self, state: State) -> int:
        """Return the slot of the next id; 0 if the segment may end."""
        if not self.layout.is_parallel:
            return 0
        position, frames = state
        order = self._closed(frames) if frames else self._open
        return order[position] if position < len(order) else 0

    def opens_step(self, state: State) -> bool:
        """Return whether the next id begins a step."""
        if not self.layout.is_parallel:
            return True
        return state.position in self._starts(state.frames or self.max_frames)

    def _allow_in(self, frames: int, position: int) -> Allowed:
        """Return the ids that may come at `position` of a segment of `frames` frames."""
        order = self._closed(frames)
        if position == len(order):
            return Allowed(0, 0, self._end)
        span = self.layout.spans[order[position]]
        return Allowed(span.start, span.stop)

    def advance(self, state: State, i: int) -> State:
        """Return the state after id `i`.

        Raises:
            InvalidCodes: `i` is not allowed there.
        """
        start, stop, _ = self.allowed(state)
        if not start <= i < stop:
            raise InvalidCodes(f"id {i} at {state.position}: expected [{start}, {stop})")
        position, frames = state
        if not frames and i not in self.layout.spans[self._open[position]]:
            frames = self._turns[position]  # an id of the next stream: it decides the length
        if not frames and self._turns.get(position + 1) == self.max_frames:
            frames = self.max_frames
        return State(position + 1, frames)

    def codes(self, state: State, ids: Sequence[int]) -> Codes:
        """Return the codes of an unfinished segment; its streams may differ in length.

        Args:
            state: the state after `ids`.
            ids: the ids of the segment so far.
        """
        order = self._closed(state.frames) if state.frames else self._open
        streams: list[list[int]] = [[] for _ in self.layout.streams]
        for k, i in zip(order, ids, strict=False):
            streams[k].append(i - self.layout.spans[k].start)
        return Codes(tuple(torch.tensor(codes, dtype=torch.int64) for codes in streams))

    def is_cut(self, state: State) -> bool:
        """Return whether the limit of frames ended a segment that ends in `state`; an exact length is not a limit."""
        return state.frames == self.max_frames and not self._exact


@lru_cache(maxsize=16)
def _cached_grammar(layout: CodeLayout, max_frames: int, exact: bool) -> Grammar:
    return Grammar(layout, max_frames, exact)
