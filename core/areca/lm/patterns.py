"""Convert codes to ids of the joint vocabulary and back, and say which ids may come next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, Self

import torch

from areca.component import Kind
from areca.errors import InvalidArtifact, InvalidCodes, quote
from areca.lm.vocabulary import Control, Vocabulary
from areca.options import canonical
from areca.patterns import codes_per_frame
from areca.registry.parts import Part, choose
from areca.registry.registry import Registry
from areca.specs import PatternSpec, Stream
from areca.types import Codes, require_codes

_SLACK_FRAMES = 2
"""The streams of a tokenizer may differ in length by this many frames: `areca.testing` allows each of them as much."""


class State(NamedTuple):
    """How far an audio segment is: ids so far, and its frames once an id has decided them (0: not yet)."""

    position: int
    frames: int


class Allowed(NamedTuple):
    """Which ids may come next: those in ``[start, stop)``, and the control `end` (-1: the segment may not end)."""

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
    """A stream pattern as a layout keeps it: which component it is, and its order.

    Args:
        component: the component's qualified name, as ``"areca:patterns/delay"``.
        revision: the component's revision.
        options: the component's options; runtime ones are left out.
        spec: the order.
    """

    component: str
    revision: int
    options: Mapping[str, Any] = field(hash=False)
    spec: PatternSpec = field(compare=False)

    @classmethod
    def of(cls, part: Part) -> Self:
        """Return the pattern that a run has chosen."""
        return cls(part.entry.qualified, part.entry.component.revision, canonical(part.config), part.spec)

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which `from_json` finds this pattern again."""
        return {"component": self.component, "revision": self.revision, "options": dict(self.options)}

    @classmethod
    def from_json(cls, values: Any, registry: Registry) -> Self:
        """Find the pattern that `to_json` recorded.

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
        role: the tokenizer whose codes these are, as ``"speech"``.
        streams: its streams.
        pattern: how the streams become one sequence; None: there is one stream.

    Raises:
        InvalidConfig: the vocabulary lacks the streams.
        IncompatibleParts: the pattern cannot join these streams.
        InvalidCodes: a stream's size is not the vocabulary's.
    """

    vocabulary: Vocabulary
    role: str
    streams: tuple[Stream, ...]
    pattern: Pattern | None = None

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
        return tuple(self.vocabulary.span(f"{self.role}/{k}") for k in range(len(self.streams)))

    @cached_property
    def per_frame(self) -> tuple[int, ...]:
        """Codes of each stream in a frame."""
        return codes_per_frame(self.streams, None if self.pattern is None else self.pattern.spec)

    def order(self, frames: int) -> list[int]:
        """Return the stream of each position in the sequence of `frames` frames."""
        if self.pattern is None or len(self.streams) == 1:  # codes of one stream keep their order
            return [0] * (frames * self.per_frame[0])
        return self.pattern.spec.order.sequence(self.per_frame, frames)

    def turn(self, frames: int) -> int:
        """Return the first position at which `frames` frames differ from more; see `areca.specs.Order.turn`."""
        if self.pattern is None or len(self.streams) == 1:
            return frames * self.per_frame[0]
        return self.pattern.spec.order.turn(self.per_frame, frames)

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
            found = [len(x) for x in codes.streams]
            raise InvalidCodes(f"streams of {self.role!r} have {found} codes, {list(self.per_frame)} to a frame")
        if len(self.streams) == 1:
            return [int(i) for i in (codes.streams[0] + self.spans[0].start).tolist()]
        feeds = [iter((x + s.start).tolist()) for x, s in zip(codes.streams, self.spans, strict=True)]
        return [next(feeds[k]) for k in self.order(frames)]

    def decode(self, ids: list[int]) -> Codes:
        """Return the codes that `ids`, without the controls around them, stand for.

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
                raise InvalidCodes(f"id {i} at {position}: expected one of {self.role}/{k}, {self.spans[k]}")
            streams[k].append(i - self.spans[k].start)
        return Codes(tuple(torch.tensor(s, dtype=torch.int64) for s in streams))

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which `from_json` makes this layout again."""
        pattern = self.pattern and self.pattern.to_json()
        return {"role": self.role, "pattern": pattern, "streams": [asdict(stream) for stream in self.streams]}

    @classmethod
    def from_json(cls, vocabulary: Vocabulary, values: Any, registry: Registry) -> CodeLayout:
        """Read what `to_json` wrote.

        Raises:
            InvalidArtifact: a value is missing or of the wrong type, or the pattern has another revision.
            UnknownComponent: the pattern is not installed.
        """
        try:
            streams = tuple(Stream(**stream) for stream in values["streams"])
            role, found = values["role"], values["pattern"]
            pattern = None if found is None else Pattern.from_json(found, registry)
            return cls(vocabulary, role, streams, pattern)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as e:
            reason = f"{type(e).__name__}: {str(e).partition(chr(10))[0][:200]}"
            raise InvalidArtifact(f"code layout: expected role, pattern and streams; {reason}") from e

    def grammar(self, max_frames: int) -> Grammar:
        """Return the rules for the ids of a segment of 1 to `max_frames` frames."""
        return _grammar(self, max_frames)


class Grammar:
    """Which ids may come next in an audio segment; `CodeLayout.grammar` makes it.

    Args:
        layout: the streams as a sequence of ids.
        max_frames: frames after which the segment has to end; at least 1.

    Raises:
        InvalidCodes: `max_frames` is less than 1.
    """

    start = State(0, 0)

    def __init__(self, layout: CodeLayout, max_frames: int) -> None:
        if max_frames < 1:
            raise InvalidCodes(f"an audio segment has at least one frame, got a limit of {max_frames}")
        self.max_frames = max_frames
        self._layout = layout
        self._end = layout.vocabulary.control(Control.END_AUDIO)
        self._open = layout.order(max_frames)
        self._turns = {layout.turn(n): n for n in range(1, max_frames + 1)}
        self._closed = lru_cache(maxsize=64)(layout.order)

    def allowed(self, state: State) -> Allowed:
        """Return which ids may come next in a state that `advance` gave."""
        position, frames = state
        if frames:
            return self._rest(position, frames)
        here = self._layout.spans[self._open[position]]
        if (turn := self._turns.get(position)) is None:
            return Allowed(here.start, here.stop)
        other = self._rest(position, turn)
        return Allowed(here.start, here.stop, other.end) if other.is_forced else Allowed(here.start, other.stop)

    def _rest(self, position: int, frames: int) -> Allowed:
        order = self._closed(frames)
        if position == len(order):
            return Allowed(0, 0, self._end)
        span = self._layout.spans[order[position]]
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
        if not frames and i not in self._layout.spans[self._open[position]]:
            frames = self._turns[position]  # the stream behind the open one: it has just been closed
        if not frames and self._turns.get(position + 1) == self.max_frames:
            frames = self.max_frames
        return State(position + 1, frames)

    def cut(self, state: State) -> bool:
        """Whether a segment that ends in `state` ran into the limit of frames, wherever it would have ended."""
        return state.frames == self.max_frames


@lru_cache(maxsize=16)
def _grammar(layout: CodeLayout, max_frames: int) -> Grammar:
    return Grammar(layout, max_frames)
