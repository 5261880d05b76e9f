"""Answer prompts, and yield each piece of an answer as soon as it is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from areca.fields import Field, SegmentKind
from areca.generation.answers import NO_FRAMES, Cursor, Rules
from areca.generation.decoding import DecodingMethod, Picks, grow
from areca.generation.generate import evaluating
from areca.lm.model import SpeechLM
from areca.lm.steps import Steps
from areca.run.options import Limits
from areca.types import Codes


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer. The pieces of a segment, in order, are the whole segment.

    Args:
        request: number of the prompt.
        segment: number of the segment in the answer.
        kind: kind of the segment.
        ids: new ids of a text segment; empty for audio.
        codes: new whole frames of an audio segment; None: there are none, or the segment is text.
        last: whether the segment has ended.
        cut: whether its limit ended the segment.
    """

    request: int
    segment: int
    kind: SegmentKind
    ids: tuple[int, ...]
    codes: Codes | None
    last: bool
    cut: bool = False


@torch.inference_mode()
def stream(
    lm: SpeechLM,
    prompts: Sequence[Steps],
    fields: Sequence[Field],
    method: DecodingMethod,
    limits: Limits,
    *,
    frames: Mapping[str, int] = NO_FRAMES,
    most_steps: int | None = None,
    generator: torch.Generator,
) -> Iterator[Piece]:
    """Answer prompts, all at once, and yield the pieces of the answers; arguments are those of `generate`.

    Pieces arrive at each step if the method only picks ids (`areca.generation.decoding.Picks`); other methods, such as
    beam search, yield whole segments when all answers are finished. Audio comes frame by frame in patterns that
    finish frames in order; `coarse-first` yields an audio segment from its last stream on.
    """
    rules = Rules.of(lm, fields, limits, frames, most_steps)
    seen = [_Seen() for _ in prompts]
    with evaluating(lm.model):
        if isinstance(method, Picks):
            states = grow(rules, prompts, method.pick, generator)
        else:
            states = iter([method.search(rules, prompts, generator)])
        for cursors in states:
            for request, (cursor, one) in enumerate(zip(cursors, seen, strict=True)):
                yield from one.pieces(request, cursor)


def _per_frame(cursor: Cursor, segment: int) -> int:
    grammar = cursor.rules.grammars[segment]
    assert grammar is not None
    return grammar.layout.per_frame[0]


class _Seen:
    """What was yielded of an answer: its ended segments, and the ids or frames of the next one."""

    def __init__(self) -> None:
        self._segment, self._count = 0, 0

    def pieces(self, request: int, cursor: Cursor) -> Iterator[Piece]:
        """Yield what is new in an answer."""
        kinds = cursor.rules.kinds
        while self._segment < len(cursor.bodies):  # segments that have ended
            yield self._piece(request, cursor, kinds[self._segment], last=True)
            self._segment, self._count = self._segment + 1, 0
        if not cursor.done:
            piece = self._piece(request, cursor, kinds[self._segment], last=False)
            if piece.ids or piece.codes is not None:
                yield piece

    def _piece(self, request: int, cursor: Cursor, kind: SegmentKind, last: bool) -> Piece:
        cut = last and cursor.cut[self._segment]
        if kind == "audio":
            codes = cursor.codes(self._segment, self._count)
            self._count += 0 if codes is None else len(codes.streams[0]) // _per_frame(cursor, self._segment)
            return Piece(request, self._segment, kind, (), codes, last, cut)
        body = cursor.bodies[self._segment] if last else cursor.body
        ids = tuple(body[self._count :])
        self._count += len(ids)
        return Piece(request, self._segment, kind, ids, None, last, cut)
