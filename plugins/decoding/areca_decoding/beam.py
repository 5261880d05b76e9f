"""Beam search: extend several answers at once, and return the likeliest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from areca.component import Configured
from areca.errors import IncompatibleParts
from areca.generation.answers import Cursor, Rules
from areca.generation.decoding import allowed_logits, step_by_step
from areca.generation.stepping import Stepper
from areca.lm.heads import Head
from areca.lm.steps import Steps
from areca_decoding import BeamConfig


class _Beam(NamedTuple):
    score: float
    row: int
    """Its row in the stepper's batch."""
    cursor: Cursor


class _Candidate(NamedTuple):
    score: float
    row: int
    id: int


class Beam(Configured[BeamConfig]):
    """The target of `beam`, and its instance.

    Probabilities are normalised over the allowed ids, so an id without an alternative costs nothing. An answer's score
    is its log-probability divided by a power of its length (Wu et al. 2016, arXiv 1609.08144, section 7, without the
    constant). The search drops an answer once its score is not better than the best score of a finished answer.
    """

    def search(self, rules: Rules, prompts: Sequence[Steps], generator: torch.Generator) -> list[Cursor]:
        """Answer prompts one after another; see `areca.generation.decoding.DecodingMethod`."""
        if self.config.beams == 1:
            return step_by_step(rules, prompts, lambda logits, growing: logits.argmax(-1).tolist(), generator)
        if rules.lm.slots > 1:
            raise IncompatibleParts(
                f"beam with {self.config.beams} beams supports only patterns with one code a step: expected beams: 1, "
                "or greedy or sample"
            )
        return [self._likeliest(rules, prompt) for prompt in prompts]

    def _likeliest(self, rules: Rules, prompt: Steps) -> Cursor:
        """Return the finished answer with the best score."""
        head = rules.lm.head
        stepper = Stepper(rules.lm, [prompt])
        live, best = [_Beam(0.0, 0, Cursor(rules))], _Beam(-float("inf"), 0, Cursor(rules))
        while live:
            # Extend every answer by its likeliest ids, and keep the best of all.
            grown = [_grow(live, candidate) for candidate in _candidates(head, stepper, live, self.config.beams)]
            scores = [beam.score / len(beam.cursor.ids) ** self.config.length_penalty for beam in grown]
            for beam, score in zip(grown, scores, strict=True):
                if beam.cursor.done and score > best.score:
                    best = _Beam(score, beam.row, beam.cursor)
            live = [b for b, score in zip(grown, scores, strict=True) if not b.cursor.done and score > best.score]
            # Run the model on the answers that go on.
            if live:
                stepper.select([beam.row for beam in live])
                stepper.step([beam.cursor.step for beam in live])
                live = [beam._replace(row=row) for row, beam in enumerate(live)]
        return best.cursor


def _candidates(head: Head, stepper: Stepper, live: list[_Beam], beams: int) -> list[_Candidate]:
    """Return the `beams` likeliest one-id extensions of the answers."""
    candidates = []
    for row, beam in enumerate(live):
        allowed = beam.cursor.allowed
        if allowed.is_forced:
            candidates.append(_Candidate(beam.score, row, allowed.end))
            continue
        logits = allowed_logits(head, stepper.hidden[row : row + 1], allowed)[0].float()
        top = logits.log_softmax(-1).topk(min(beams, len(logits)))
        pairs = zip(top.values.tolist(), top.indices.tolist(), strict=True)
        candidates += [_Candidate(beam.score + score, row, allowed.id(column)) for score, column in pairs]
    return sorted(candidates, key=lambda candidate: -candidate.score)[:beams]


def _grow(live: list[_Beam], candidate: _Candidate) -> _Beam:
    cursor = live[candidate.row].cursor.copy()
    cursor.push(candidate.id)
    return _Beam(candidate.score, candidate.row, cursor)
