"""Beam search: extend several answers to each request at once, and return the likeliest of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from areca.component import Configured
from areca.errors import IncompatibleParts
from areca.generation.answers import Cursor, Rules
from areca.generation.decoding import allowed_logits, step_by_step
from areca.generation.stepping import Stepper
from areca.lm.heads import Head
from areca.lm.patterns import Allowed
from areca.lm.steps import Steps
from areca_decoding import BeamConfig


class _Beam(NamedTuple):
    score: float
    row: int
    """The row of the stepper's batch that holds it, or from which it grows."""
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
        """Answer prompts, all at once; see `areca.generation.decoding.DecodingMethod`.

        The LM's batch has at most ``len(prompts) * beams`` rows, each with its own cache. Answers that are dropped or
        finished leave it.
        """
        if self.config.beams == 1:
            return step_by_step(rules, prompts, lambda logits, growing: logits.argmax(-1).tolist(), generator)
        if rules.lm.slots > 1:
            raise IncompatibleParts(
                f"beam with {self.config.beams} beams supports only patterns with one code a step: expected beams: 1, "
                "or greedy or sample"
            )
        searches = [_Search(rules, self.config) for _ in prompts]
        given = [Steps.join([prompt, Steps.of(s.best.cursor.ids)]) for prompt, s in zip(prompts, searches, strict=True)]
        stepper, live = Stepper(rules.lm, given), [beam for search in searches for beam in search.live]
        while live:
            # Extend the answers to each request by the likeliest ids.
            candidates = iter(_candidates(rules.lm.head, stepper.hidden, live, self.config.beams))
            for search in searches:
                search.extend([c for row in islice(candidates, len(search.live)) for c in row], live)
            # Run the model on the answers that go on.
            live = [beam for search in searches for beam in search.live]
            if live:
                stepper.select([beam.row for beam in live])
                stepper.step([beam.cursor.step for beam in live])
        return [search.best.cursor for search in searches]


class _Search:
    """The search for the answer to one request.

    Attributes:
        live: the unfinished answers, the likeliest first.
        best: the finished answer with the best score; at first, an answer with the ids that every answer starts with.
    """

    def __init__(self, rules: Rules, config: BeamConfig) -> None:
        self._config = config
        cursor = Cursor(rules)
        cursor.push_forced()  # processed together with the prompt
        self.live = [] if cursor.done else [_Beam(0.0, 0, cursor)]
        self.best = _Beam(-float("inf"), 0, cursor)

    def extend(self, candidates: Iterable[_Candidate], rows: Sequence[_Beam]) -> None:
        """Replace the unfinished answers by their likeliest extensions.

        Args:
            candidates: extensions of this request's answers.
            rows: the answer in each row of the batch.
        """
        grown = []
        for candidate in sorted(candidates, key=lambda candidate: -candidate.score)[: self._config.beams]:
            cursor = rows[candidate.row].cursor.copy()
            cursor.push(candidate.id)
            grown.append(_Beam(candidate.score, candidate.row, cursor))
        scores = [beam.score / len(beam.cursor.ids) ** self._config.length_penalty for beam in grown]
        for beam, score in zip(grown, scores, strict=True):
            if beam.cursor.done and score > self.best.score:
                self.best = beam._replace(score=score)
        pairs = zip(grown, scores, strict=True)
        self.live = [b for b, score in pairs if not b.cursor.done and score > self.best.score]


def _candidates(head: Head, hidden: Tensor, live: Sequence[_Beam], beams: int) -> list[list[_Candidate]]:
    """Return, for each row, the `beams` likeliest extensions of its answer by one id.

    Args:
        head: the LM's output head.
        hidden: float ``[B, H]``.
        live: the answer in each of B rows.
        beams: maximum number of extensions of a row.
    """
    candidates: list[list[_Candidate]] = [[] for _ in live]
    rows_of: dict[Allowed, list[int]] = {}
    for row, beam in enumerate(live):
        rows_of.setdefault(beam.cursor.allowed, []).append(row)
    for rows in rows_of.values():
        allowed = live[rows[0]].cursor.allowed
        if allowed.is_forced:
            for row in rows:
                candidates[row] = [_Candidate(live[row].score, row, allowed.end)]
            continue
        states = hidden if len(rows) == len(live) else hidden[rows]
        logits = allowed_logits(head, states, allowed).float()
        top = logits.log_softmax(-1).topk(min(beams, logits.shape[1]))
        for row, scores, columns in zip(rows, top.values.tolist(), top.indices.tolist(), strict=True):
            pairs = zip(scores, columns, strict=True)
            candidates[row] = [_Candidate(live[row].score + s, row, allowed.id(column)) for s, column in pairs]
    return candidates
