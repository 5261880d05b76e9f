"""Codes as ids of the joint vocabulary and back, and the grammar of what may come next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import torch

from areca.errors import InvalidArtifact, InvalidCodes
from areca.lm.vocabulary import Vocabulary
from areca.run.orders import codes_per_frame, order_named
from areca.specs import Stream
from areca.types import Codes, require_codes

_SLACK_FRAMES = 2
"""A tokenizer's streams may disagree about the length by this much: `areca.testing` allows each of them so."""


class State(NamedTuple):
    """How far an audio segment is: ids so far, and its frames once an id has told (0: not yet)."""

    position: int
    frames: int


class Allowed(NamedTuple):
    """What may come next: ids ``[start, stop)``, and whether the segment may end."""

    start: int
    stop: int
    may_end: bool


@dataclass(frozen=True)
class CodeLayout:
    """The streams of one role as a sequence of ids.

    Args:
        vocabulary: the joint vocabulary; has the role's streams.
        role: the tokenizer whose codes these are, as ``"speech"``.
        streams: its streams.
        pattern: ``flatten``, ``coarse-first`` or ``delay``, see `areca.run.orders`.

    Raises:
        InvalidConfig: no such pattern, or the vocabulary lacks the streams.
        IncompatibleParts: the streams' rates do not allow the pattern.
        InvalidCodes: a stream's size is not the vocabulary's.
    """

    vocabulary: Vocabulary
    role: str
    streams: tuple[Stream, ...]
    pattern: str

    def __post_init__(self) -> None:
        for stream, span in zip(self.streams, self.spans, strict=True):
            if stream.size != len(span):
                raise InvalidCodes(f"stream {stream} of {self.role!r}: the vocabulary holds {len(span)} codes of it")
        if any(a.stop != b.start for a, b in pairwise(self.spans)):
            raise InvalidCodes(f"the streams of {self.role!r} do not lie side by side in the vocabulary")
        _ = self.per_frame

    @cached_property
    def spans(self) -> tuple[range, ...]:
        """The ids of each stream."""
        return tuple(self.vocabulary.span(f"{self.role}/{k}") for k in range(len(self.streams)))

    @cached_property
    def per_frame(self) -> tuple[int, ...]:
        """Codes of each stream in a frame."""
        return codes_per_frame(self.streams, self.pattern)

    def encode(self, codes: Codes) -> list[int]:
        """Return the ids of an utterance's codes; durations are left out.

        Streams that differ in length by no more than two frames are cut to the whole frames that all of them have.

        Raises:
            InvalidCodes: other streams, a code out of range, or lengths that do not go together.
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
        return [next(feeds[k]) for k in order_named(self.pattern).sequence(self.per_frame, frames)]

    def decode(self, ids: list[int]) -> Codes:
        """Return the codes that `ids`, without the controls around them, stand for.

        Raises:
            InvalidCodes: ids that are not whole frames in this pattern's order.
        """
        frames = len(ids) // sum(self.per_frame)
        order = order_named(self.pattern).sequence(self.per_frame, frames)
        streams: list[list[int]] = [[] for _ in self.streams]
        if not frames or len(order) != len(ids):
            raise InvalidCodes(f"{len(ids)} ids of {self.role!r}: expected {sum(self.per_frame)} to a frame")
        for position, (k, i) in enumerate(zip(order, ids, strict=True)):
            if i not in self.spans[k]:
                raise InvalidCodes(f"id {i} at {position}: expected one of {self.role}/{k}, {self.spans[k]}")
            streams[k].append(i - self.spans[k].start)
        return Codes(tuple(torch.tensor(s, dtype=torch.int64) for s in streams))

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which `from_json` makes this format again."""
        return {"role": self.role, "pattern": self.pattern, "streams": [asdict(stream) for stream in self.streams]}

    @classmethod
    def from_json(cls, vocabulary: Vocabulary, values: Any) -> CodeLayout:
        """Read what `to_json` wrote.

        Raises:
            InvalidArtifact: a value is missing or of the wrong type.
        """
        try:
            streams = tuple(Stream(**stream) for stream in values["streams"])
            return cls(vocabulary, values["role"], streams, values["pattern"])
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as e:
            reason = f"{type(e).__name__}: {str(e).partition(chr(10))[0][:200]}"
            raise InvalidArtifact(f"audio format: expected role, pattern and streams; {reason}") from e

    def grammar(self, max_frames: int) -> Grammar:
        """Return the rules for the ids of a segment of 1 to `max_frames` frames."""
        return _grammar(self, max_frames)


class Grammar:
    """What may come next in an audio segment, as one span of ids; `CodeLayout.grammar` makes it.

    Args:
        form: the format of the ids.
        max_frames: frames after which the segment has to end; at least 1.
    """

    start = State(0, 0)

    def __init__(self, layout: CodeLayout, max_frames: int) -> None:
        if max_frames < 1:
            raise InvalidCodes(f"an audio segment has at least one frame, got a limit of {max_frames}")
        order = order_named(layout.pattern)
        self.max_frames = max_frames
        self._layout = layout
        self._open = order.sequence(layout.per_frame, max_frames)
        self._turns = {order.turn(layout.per_frame, n): n for n in range(1, max_frames + 1)}
        self._closed = lru_cache(maxsize=64)(lambda frames: order.sequence(layout.per_frame, frames))

    def allowed(self, state: State) -> Allowed:
        """Return what may come next; `InvalidCodes` is never raised for a state that `advance` gave."""
        position, frames = state
        if frames:
            return self._rest(position, frames)
        here = self._layout.spans[self._open[position]]
        if (turn := self._turns.get(position)) is None:
            return Allowed(here.start, here.stop, False)
        other = self._rest(position, turn)
        return Allowed(here.start, here.stop, True) if other.may_end else Allowed(here.start, other.stop, False)

    def _rest(self, position: int, frames: int) -> Allowed:
        order = self._closed(frames)
        if position == len(order):
            return Allowed(0, 0, True)
        span = self._layout.spans[order[position]]
        return Allowed(span.start, span.stop, False)

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
