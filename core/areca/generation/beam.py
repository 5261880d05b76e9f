"""Beam search: the likeliest answer among several that grow side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from areca.generation.answers import Cursor, Rules
from areca.generation.choosing import allowed_logits, column_id
from areca.generation.stepping import Stepper
from areca.lm.heads import Head
from areca.lm.vocabulary import Control


class _Beam(NamedTuple):
    score: float
    row: int
    """where in the batch its past is"""
    cursor: Cursor


class _Candidate(NamedTuple):
    score: float
    row: int
    id: int


def beam_search(rules: Rules, prompt: Sequence[int], beams: int, length_penalty: float) -> Cursor:
    """Return the likeliest answer found.

    An id's probability is that among the ids allowed, so a control that has to come costs nothing; an answer's is
    divided by a power of its length (Wu et al. 2016, arXiv 1609.08144, section 7, without its constant). A growing
    answer is given up when its score at its present length is no better than that of one that is done.

    Args:
        rules: what answers obey.
        prompt: ids that come before.
        beams: answers kept side by side.
        length_penalty: that power of the length; 0 favours short answers, 1 compares means.
    """
    head = rules.lm.head
    stepper = Stepper(rules.lm.model, [prompt], rules.lm.vocabulary.control(Control.PAD))
    live, best = [_Beam(0.0, 0, Cursor(rules))], _Beam(-float("inf"), 0, Cursor(rules))
    while live:
        grown = [_grow(live, candidate) for candidate in _candidates(head, stepper, live, beams)]
        worth = [beam.score / len(beam.cursor.ids) ** length_penalty for beam in grown]
        for beam, score in zip(grown, worth, strict=True):
            if beam.cursor.done and score > best.score:
                best = _Beam(score, beam.row, beam.cursor)
        live = [b for b, score in zip(grown, worth, strict=True) if not b.cursor.done and score > best.score]
        if live:
            stepper.select([beam.row for beam in live])
            stepper.step([beam.cursor.ids[-1] for beam in live])
            live = [beam._replace(row=row) for row, beam in enumerate(live)]
    return best.cursor


def _candidates(head: Head, stepper: Stepper, live: list[_Beam], beams: int) -> list[_Candidate]:
    found = []
    for row, beam in enumerate(live):
        choice = beam.cursor.choice
        if choice.forced:
            found.append(_Candidate(beam.score, row, choice.end))
            continue
        logits = allowed_logits(head, stepper.hidden[row : row + 1], choice)[0].float()
        top = logits.log_softmax(-1).topk(min(beams, len(logits)))
        pairs = zip(top.values.tolist(), top.indices.tolist(), strict=True)
        found += [_Candidate(beam.score + score, row, column_id(choice, column)) for score, column in pairs]
    return sorted(found, key=lambda candidate: -candidate.score)[:beams]


def _grow(live: list[_Beam], candidate: _Candidate) -> _Beam:
    cursor = live[candidate.row].cursor.copy()
    cursor.push(candidate.id)
    return _Beam(candidate.score, candidate.row, cursor)
