"""Choosing the next id from logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from areca.generation.answers import Choice
from areca.lm.heads import Head


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one sequence is drawn; its generator is its own, so that no other changes what it gets."""

    temperature: float
    top_k: int
    top_p: float
    generator: torch.Generator


def allowed_logits(head: Head, hidden: Tensor, choice: Choice) -> Tensor:
    """Return the logits of a choice that is not forced.

    Args:
        head: the output head; it is run at the rows allowed alone.
        hidden: float ``[B, H]``.
        choice: what is allowed, the same for all rows.

    Returns:
        ``[B, stop - start]`` in the order of the ids, and one more column where the segment may end.
    """
    logits = head.logits(hidden, range(choice.start, choice.stop))
    if choice.end < 0:
        return logits
    return torch.cat([logits, head.logits(hidden, range(choice.end, choice.end + 1))], dim=-1)


def column_id(choice: Choice, column: int) -> int:
    """Return the id that a column of `allowed_logits` stands for."""
    i = choice.start + column
    return i if i < choice.stop else choice.end


def pick(logits: Tensor, samplings: Sequence[Sampling | None]) -> list[int]:
    """Return a column for each row of ``[B, V]``: the highest, or one drawn."""
    if samplings[0] is None:
        return logits.argmax(-1).tolist()
    return [_draw(row, sampling) for row, sampling in zip(logits.float().cpu(), samplings, strict=True) if sampling]


def _draw(logits: Tensor, sampling: Sampling) -> int:
    logits = logits / sampling.temperature
    if 0 < sampling.top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(sampling.top_k).values[-1], -torch.inf)
    probabilities = logits.softmax(-1)
    if sampling.top_p < 1:
        ordered, order = probabilities.sort(descending=True)
        beyond = ordered.cumsum(-1) - ordered >= sampling.top_p  # the first is always kept
        probabilities = probabilities.index_fill(0, order[beyond], 0.0)
    return int(torch.multinomial(probabilities, 1, generator=sampling.generator))
