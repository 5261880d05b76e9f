"""The rules of an answer: its segments come in order, hold only ids of their kind, and end within their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from areca.errors import InvalidCodes, InvalidConfig
from areca.fields import Field, SegmentKind
from areca.lm.model import SpeechLM
from areca.lm.patterns import Allowed, CodeLayout, Grammar
from areca.lm.steps import NO_ID
from areca.lm.vocabulary import Control
from areca.run.options import Limits
from areca.tasks import AudioSegment, Segment, TextSegment
from areca.types import Codes

NO_FRAMES: Mapping[str, int] = MappingProxyType({})
"""No audio field has an exact length."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that every answer to one kind of request obeys.

    Args:
        lm: the LM that answers; ids are those of its vocabulary.
        fields: the fields of the answer's segments, in order; at least one.
        max_text_ids: maximum number of ids in a text segment; at least 1.
        grammars: the grammar of each segment, which has its own limit; None for a text.

    Raises:
        InvalidConfig: a limit below 1, no segments, or a field without its grammar.
    """

    lm: SpeechLM
    fields: tuple[Field, ...]
    max_text_ids: int
    grammars: tuple[Grammar | None, ...]

    def __post_init__(self) -> None:
        if not self.fields or self.max_text_ids < 1:
            names = [field.name for field in self.fields]
            raise InvalidConfig(f"expected segments and a positive limit, got {names}, {self.max_text_ids} ids")
        kinds = ["text" if grammar is None else "audio" for grammar in self.grammars]
        if kinds != list(self.kinds):
            raise InvalidConfig(f"expected a grammar for each audio segment of {list(self.kinds)}, got {kinds}")

    @classmethod
    def of(
        cls,
        lm: SpeechLM,
        fields: Sequence[Field],
        limits: Limits,
        frames: Mapping[str, int] = NO_FRAMES,
        most_steps: int | None = None,
    ) -> Self:
        """Return the rules for the fields of an answer.

        Args:
            lm: the LM that answers.
            fields: the fields, such as `areca.tasks.Task.outputs`.
            limits: maximum length of a segment.
            frames: exact number of frames by the name of an audio field.
            most_steps: maximum number of steps in a segment; None: only the limits apply.

        Raises:
            InvalidConfig: no fields, or a limit in seconds for codes of variable rate.
            InvalidCodes: the LM has no such role or streams.
        """
        grammars: list[Grammar | None] = []
        for field in fields:
            if field.kind == "text":
                grammars.append(None)
                continue
            layout = lm.layout.of(field.role or lm.layout.writes, field.streams)
            exact = frames.get(field.name)
            most = _most_frames(layout, limits, most_steps) if exact is None else exact
            grammars.append(layout.grammar(most, exact=exact is not None))
        return cls(lm, tuple(fields), min(limits.max_text_ids, most_steps or limits.max_text_ids), tuple(grammars))

    @property
    def kinds(self) -> tuple[SegmentKind, ...]:
        """The kinds of the segments, in order."""
        return tuple(field.kind for field in self.fields)


def _most_frames(layout: CodeLayout, limits: Limits, most_steps: int | None) -> int:
    most = limits.max_audio_frames
    if most_steps is not None:
        most = min(most, layout.frames_within(most_steps))
    if limits.max_audio_s is None:
        return most
    if layout.frame_rate_hz is None:
        raise InvalidConfig(
            f"max_audio_s: codes of role {layout.role!r} have a variable rate, so their length in seconds is not known "
            "while they are written: give max_audio_frames"
        )
    return min(most, max(1, int(limits.max_audio_s * layout.frame_rate_hz)))


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

    __slots__ = (
        "_begun",
        "_body",
        "_grammar",
        "_state",
        "allowed",
        "bodies",
        "cut",
        "ids",
        "in_step",
        "rules",
        "slot",
        "step",
    )

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.ids: list[int] = []
        self.bodies: list[list[int]] = []
        self.cut: list[bool] = []
        self._body: list[int] = []
        self._grammar = rules.grammars[0]  # that of the current segment
        self._state = Grammar.start
        self._begun = False  # whether BEGIN_AUDIO of the current segment has been appended
        self.step = self._empty_step()
        self.in_step = False
        self.slot = 0
        self.allowed = self._find_allowed()

    def copy(self) -> Cursor:
        """Return an independent copy."""
        twin = Cursor(self.rules)
        twin.ids, twin.bodies, twin.cut = [*self.ids], [*self.bodies], [*self.cut]
        twin._body, twin._grammar, twin._state, twin._begun = [*self._body], self._grammar, self._state, self._begun
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
        grammar = self.rules.grammars[segment]
        assert grammar is not None, "a text has no codes"
        if segment < len(self.bodies):
            return _cut(grammar.layout.decode(self.bodies[segment]), grammar.layout, start)
        return _cut(grammar.codes(self._state, self._body), grammar.layout, start)

    @property
    def done(self) -> bool:
        """Whether all segments have ended."""
        return len(self.bodies) == len(self.rules.fields)

    def push(self, i: int) -> None:
        """Append the next id.

        Raises:
            InvalidCodes: `i` is not allowed here.
        """
        if self.done or self.allowed.column(i) is None:
            raise InvalidCodes(f"id {i} after {len(self.ids)} ids of an answer: expected one of {self.allowed}")
        grammar = self._grammar if self._begun else None
        if grammar and i == self.allowed.end and (decided := grammar.decide(self._state)) is not None:
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
            if grammar:
                self._state = grammar.advance(self._state, i)
            self.allowed = self._find_allowed()
        elif self._grammar and not self._begun:
            self._begun = True
            self.allowed = self._find_allowed()
        else:
            self._close()
        grammar = self._grammar if self._begun else None
        self.in_step = grammar is not None and not grammar.opens_step(self._state)
        self.slot = grammar.slot(self._state) if grammar else 0

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
        self.cut.append(self._grammar.is_cut(self._state) if self._grammar else self._is_full())
        self.bodies.append(self._body)
        if self.done:
            self.ids.append(self.rules.lm.vocabulary.control(Control.END_SEQUENCE))
        else:
            self._grammar = self.rules.grammars[len(self.bodies)]
            self._body, self._state, self._begun = [], Grammar.start, False
            self.allowed = self._find_allowed()

    def _is_full(self) -> bool:
        return len(self._body) >= self.rules.max_text_ids

    def _find_allowed(self) -> Allowed:
        vocabulary = self.rules.lm.vocabulary
        if self._grammar is None:
            return Allowed(0, 0 if self._is_full() else vocabulary.text_size, vocabulary.control(Control.END_SEGMENT))
        if not self._begun:
            return Allowed(0, 0, vocabulary.control(Control.BEGIN_AUDIO))
        return self._grammar.allowed(self._state)

    def segments(self) -> tuple[Segment, ...]:
        """Return the segments that have ended, with decoded text and codes."""
        ended = zip(self.rules.fields, self.rules.grammars, self.bodies, strict=False)
        return tuple(_to_segment(self.rules.lm, *segment) for segment in ended)


def _cut(codes: Codes, layout: CodeLayout, start: int) -> Codes | None:
    """Return the whole frames of `codes` from `start` on; None: there are none."""
    pairs = list(zip(codes.streams, layout.per_frame, strict=True))
    frames = min(len(stream) // n for stream, n in pairs)
    return Codes(tuple(stream[start * n : frames * n] for stream, n in pairs)) if frames > start else None


def _to_segment(lm: SpeechLM, field: Field, grammar: Grammar | None, body: Sequence[int]) -> Segment:
    if grammar is None:
        return TextSegment(lm.text_tokenizer.decode(body))
    return AudioSegment(grammar.layout.decode(list(body)), field.role, field.streams)
