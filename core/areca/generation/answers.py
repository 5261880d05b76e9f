"""The rules of an answer: its segments come in order, hold only ids of their kind, and end within their limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from areca.errors import InvalidCodes, InvalidConfig
from areca.lm.model import SpeechLM
from areca.lm.patterns import Allowed, CodeLayout, Grammar
from areca.lm.steps import NO_ID
from areca.lm.vocabulary import Control
from areca.tasks import AudioSegment, Segment, SegmentKind, TextSegment
from areca.types import Codes


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that every answer to one kind of request obeys.

    Args:
        lm: the LM that answers; ids are those of its vocabulary.
        kinds: the kinds of the answer's segments, in order; at least one.
        max_text_ids: maximum number of ids in a text segment; at least 1.
        audio: grammar of an audio segment, which has its own limit.

    Raises:
        InvalidConfig: a limit below 1, or no segments.
    """

    lm: SpeechLM
    kinds: tuple[SegmentKind, ...]
    max_text_ids: int
    audio: Grammar

    def __post_init__(self) -> None:
        if not self.kinds or self.max_text_ids < 1:
            raise InvalidConfig(f"expected segments and a positive limit, got {self.kinds}, {self.max_text_ids} ids")


class Cursor:
    """One answer while it grows.

    Args:
        rules: the rules that it obeys.

    Attributes:
        allowed: the ids that may come next.
        ids: all ids so far, with controls.
        bodies: the ids of each segment that has ended, without controls.
        cut: whether its limit ended the segment, for each segment that has ended.
        step: the ids of the newest step by slot, -1 in empty slots.
        in_step: whether the next id belongs to that step.
        slot: slot of the next id.
    """

    __slots__ = ("_begun", "_body", "_state", "allowed", "bodies", "cut", "ids", "in_step", "rules", "slot", "step")

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.ids: list[int] = []
        self.bodies: list[list[int]] = []
        self.cut: list[bool] = []
        self._body: list[int] = []
        self._state = rules.audio.start
        self._begun = False  # whether BEGIN_AUDIO of the current segment has been appended
        self.step = self._empty_step()
        self.in_step = False
        self.slot = 0
        self.allowed = self._find_allowed()

    def copy(self) -> Cursor:
        """Return an independent copy."""
        twin = Cursor(self.rules)
        twin.ids, twin.bodies, twin.cut = [*self.ids], [*self.bodies], [*self.cut]
        twin._body, twin._state, twin._begun = [*self._body], self._state, self._begun
        twin.allowed, twin.step, twin.in_step, twin.slot = self.allowed, [*self.step], self.in_step, self.slot
        return twin

    @property
    def body(self) -> Sequence[int]:
        """The ids of the current segment so far, without controls."""
        return self._body

    def codes(self, segment: int, start: int) -> Codes | None:
        """Return the codes of an audio segment from frame `start` on, as far as all streams have them.

        Args:
            segment: number of the segment: one that has ended, or the current one.
            start: number of frames that are left out.

        Returns:
            None: there is no further whole frame.
        """
        if segment < len(self.bodies):
            return _cut(self.rules.lm.writes.decode(self.bodies[segment]), self.rules.lm.writes, start)
        return _cut(self.rules.audio.codes(self._state, self._body), self.rules.lm.writes, start)

    @property
    def done(self) -> bool:
        """Whether all segments have ended."""
        return len(self.bodies) == len(self.rules.kinds)

    def push(self, i: int) -> None:
        """Append the next id.

        Raises:
            InvalidCodes: `i` is not allowed here.
        """
        if self.done or self.allowed.column(i) is None:
            raise InvalidCodes(f"id {i} after {len(self.ids)} ids of an answer: expected one of {self.allowed}")
        grammar = self.rules.audio
        if i == self.allowed.end and self._begun and (decided := grammar.decide(self._state)) is not None:
            # The first stream has ended, and the others go on: the end is predicted here, but follows later.
            self._state, self.step, self.in_step = decided, self._empty_step(), True
            self.allowed, self.slot = self._find_allowed(), grammar.slot(decided)
            return
        self.ids.append(i)
        if not self.in_step:
            self.step = self._empty_step()
        self.step[self.slot] = i
        if i != self.allowed.end:
            self._body.append(i)
            if self._begun:
                self._state = grammar.advance(self._state, i)
            self.allowed = self._find_allowed()
        elif self.rules.kinds[len(self.bodies)] == "audio" and not self._begun:
            self._begun = True
            self.allowed = self._find_allowed()
        else:
            self._close()
        self.in_step = self._begun and not grammar.opens_step(self._state)
        self.slot = grammar.slot(self._state) if self._begun else 0

    def open_step(self) -> None:
        """Begin a step whose slot 0 stays empty, if the next id does not belong into slot 0."""
        if self.slot > 0:
            self.step, self.in_step = self._empty_step(), True

    def _empty_step(self) -> list[int]:
        return [NO_ID] * self.rules.lm.slots

    def push_forced(self) -> None:
        """Append ids as long as only one is allowed."""
        while not self.done and self.allowed.is_forced:
            self.push(self.allowed.end)

    def _close(self) -> None:
        self.cut.append(self.rules.audio.is_cut(self._state) if self._begun else self._is_full())
        self.bodies.append(self._body)
        if self.done:
            self.ids.append(self.rules.lm.vocabulary.control(Control.END_SEQUENCE))
        else:
            self._body, self._state, self._begun = [], self.rules.audio.start, False
            self.allowed = self._find_allowed()

    def _is_full(self) -> bool:
        return len(self._body) >= self.rules.max_text_ids

    def _find_allowed(self) -> Allowed:
        vocabulary = self.rules.lm.vocabulary
        if self.rules.kinds[len(self.bodies)] == "text":
            return Allowed(0, 0 if self._is_full() else vocabulary.text_size, vocabulary.control(Control.END_SEGMENT))
        if not self._begun:
            return Allowed(0, 0, vocabulary.control(Control.BEGIN_AUDIO))
        return self.rules.audio.allowed(self._state)

    def segments(self) -> tuple[Segment, ...]:
        """Return the segments that have ended, with decoded text and codes."""
        ended = self.rules.kinds[: len(self.bodies)]
        return tuple(_to_segment(self.rules, kind, body) for kind, body in zip(ended, self.bodies, strict=True))


def _cut(codes: Codes, layout: CodeLayout, start: int) -> Codes | None:
    """Return the whole frames of `codes` from `start` on; None: there are none."""
    pairs = list(zip(codes.streams, layout.per_frame, strict=True))
    frames = min(len(stream) // n for stream, n in pairs)
    return Codes(tuple(stream[start * n : frames * n] for stream, n in pairs)) if frames > start else None


def _to_segment(rules: Rules, kind: SegmentKind, body: Sequence[int]) -> Segment:
    if kind == "text":
        return TextSegment(rules.lm.text_tokenizer.decode(body))
    return AudioSegment(rules.lm.writes.decode(list(body)))
