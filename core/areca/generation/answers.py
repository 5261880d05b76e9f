"""The rules of an answer: its segments come in order, each holds ids of its kind alone, and each ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from areca.errors import InvalidConfig
from areca.lm.model import SpeechLM
from areca.lm.patterns import Grammar
from areca.lm.vocabulary import Control
from areca.tasks import AudioSegment, Segment, SegmentKind, TextSegment


class Choice(NamedTuple):
    """What may come next: ids ``[start, stop)``, and the control `end` (-1: it may not)."""

    start: int
    stop: int
    end: int

    @property
    def forced(self) -> bool:
        """Whether `end` is all that there is."""
        return self.start == self.stop


@dataclass(frozen=True, slots=True)
class Rules:
    """What every answer to one kind of request obeys.

    Args:
        lm: whose ids they are.
        kinds: the segments wanted, in order; at least one.
        max_text_ids: ids after which a text segment is ended; at least 1.
        audio: grammar of an audio segment, with its limit.

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
        rules: what it obeys.
    """

    __slots__ = ("_begun", "_body", "_state", "bodies", "choice", "cut", "ids", "rules")

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.ids: list[int] = []  # with controls
        self.bodies: list[list[int]] = []  # of the segments that have ended, without controls
        self.cut: list[bool] = []
        self._body: list[int] = []
        self._state = rules.audio.start
        self._begun = False  # whether the audio segment that is next has begun
        self.choice = self._next()

    def copy(self) -> Cursor:
        """Return another cursor at the same place."""
        twin = Cursor(self.rules)
        twin.ids, twin.bodies, twin.cut = [*self.ids], [*self.bodies], [*self.cut]
        twin._body, twin._state, twin._begun = [*self._body], self._state, self._begun
        twin.choice = self.choice
        return twin

    @property
    def done(self) -> bool:
        """Whether all segments have ended."""
        return len(self.bodies) == len(self.rules.kinds)

    def push(self, i: int) -> None:
        """Take the next id, one that `choice` allows."""
        self.ids.append(i)
        if i != self.choice.end:
            self._body.append(i)
            if self._begun:
                self._state = self.rules.audio.advance(self._state, i)
            self.choice = self._next()
        elif self.rules.kinds[len(self.bodies)] == "audio" and not self._begun:
            self._begun = True
            self.choice = self._next()
        else:
            self._close()

    def _close(self) -> None:
        self.cut.append(self.rules.audio.cut(self._state) if self._begun else self._full())
        self.bodies.append(self._body)
        if self.done:
            self.ids.append(self.rules.lm.vocabulary.control(Control.END_SEQUENCE))
        else:
            self._body, self._state, self._begun = [], self.rules.audio.start, False
            self.choice = self._next()

    def _full(self) -> bool:
        return len(self._body) >= self.rules.max_text_ids

    def _next(self) -> Choice:
        vocabulary = self.rules.lm.vocabulary
        if self.rules.kinds[len(self.bodies)] == "text":
            return Choice(0, 0 if self._full() else vocabulary.text_size, vocabulary.control(Control.END_SEGMENT))
        if not self._begun:
            return Choice(0, 0, vocabulary.control(Control.BEGIN_AUDIO))
        start, stop, may_end = self.rules.audio.allowed(self._state)
        return Choice(start, stop, vocabulary.control(Control.END_AUDIO) if may_end else -1)

    def segments(self) -> tuple[Segment, ...]:
        """Return the segments that have ended."""
        ended = self.rules.kinds[: len(self.bodies)]
        return tuple(_segment(self.rules, kind, body) for kind, body in zip(ended, self.bodies, strict=True))


def _segment(rules: Rules, kind: SegmentKind, body: Sequence[int]) -> Segment:
    if kind == "text":
        return TextSegment(rules.lm.text_tokenizer.decode(body))
    return AudioSegment(rules.lm.writes.decode(list(body)))
