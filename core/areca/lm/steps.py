"""A sequence of steps. The ids of a step share one position, and their embeddings are summed; or a step is a vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

NO_ID = -1
"""Fills the slots of a step that hold no id."""


@dataclass(frozen=True, slots=True)
class Steps:
    """A sequence of steps, as flat ids.

    Args:
        ids: int64 ``[N]``, the ids of all steps, in order.
        widths: int64 ``[S]``, the number of ids of each step; 0: the step is a vector.
        slots: int64 ``[N]``, the slot of each id in its step: 0 for text, controls and the first stream of audio; k for
            stream k of a segment whose pattern is parallel.
        vectors: float32 ``[V, D]``, the vectors of the steps without ids, in order; None: every step has ids.
    """

    ids: Tensor
    widths: Tensor
    slots: Tensor
    vectors: Tensor | None = None

    @classmethod
    def of(cls, ids: Sequence[int] | Tensor) -> Self:
        """Return steps of one id each."""
        flat = torch.as_tensor(ids, dtype=torch.int64)
        return cls(flat, torch.ones_like(flat), torch.zeros_like(flat))

    @classmethod
    def of_vectors(cls, vectors: Tensor) -> Self:
        """Return a step for each vector, float32 ``[V, D]``."""
        none = torch.empty(0, dtype=torch.int64)
        return cls(none, torch.zeros(len(vectors), dtype=torch.int64), none, vectors)

    @classmethod
    def join(cls, parts: Sequence[Steps]) -> Self:
        """Concatenate sequences; at least one."""
        ids, widths, slots = (torch.cat([getattr(part, name) for part in parts]) for name in ("ids", "widths", "slots"))
        vectors = [part.vectors for part in parts if part.vectors is not None]
        return cls(ids, widths, slots, torch.cat(vectors) if vectors else None)

    def __len__(self) -> int:
        return len(self.widths)

    def grid(self, slots: int) -> Tensor:
        """Return the ids by slot: int64 ``[S, slots]``, with `NO_ID` in empty slots."""
        if slots == 1 and self.vectors is None:
            return self.ids[:, None]
        grid = torch.full((len(self), slots), NO_ID, dtype=torch.int64)
        grid[torch.repeat_interleave(self.widths), self.slots] = self.ids
        return grid


def end_targets(grid: Tensor, target: Tensor, end: int) -> Tensor:
    """Return the ids to predict in each slot: int64 ``[B, S, K]``, `NO_ID` where there is no loss.

    In a pattern with delays, the first stream ends before the others. The step behind its last code has no id in slot
    0; its target there is `end`. When the other streams have ended, `end` follows as a step that needs no prediction.

    Args:
        grid: int64 ``[B, S, K]``, ids by slot.
        target: bool ``[B, S]``, the steps of answers.
        end: id of the control that ends audio.
    """
    targets = torch.where(target[..., None], grid, NO_ID)
    if grid.shape[-1] > 1:
        present = grid[..., 0] != NO_ID
        before = torch.cat([torch.ones_like(present[:, :1]), present[:, :-1]], dim=1)
        ends = torch.where(target & ~present & before, end, targets[..., 0])
        targets[..., 0] = torch.where(present & ~before, NO_ID, ends)
    return targets
