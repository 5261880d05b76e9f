"""Batch items of similar size together, so that batches contain little padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def bucket(
    sizes: Sequence[int] | Indices, budget: int, *, order: Sequence[int] | Indices | None = None, mixed: bool = True
) -> list[Indices]:
    """Cut items into batches of similar size; the padded size of a batch is at most `budget`.

    Args:
        sizes: size of each item, ``[N]``.
        budget: maximum padded size of a batch, the number of its items times their largest size. A larger item gets a
            separate batch.
        order: positions in the order in which to cut them; sort them by size to avoid padding (default: all items,
            the largest first).
        mixed: whether items of different sizes may share a batch.

    Returns:
        The positions of each batch's items, int64. A batch takes as many items as fit.
    """
    lengths = np.maximum(np.asarray(sizes, dtype=np.int64), 1)
    remaining = np.argsort(-lengths, kind="stable") if order is None else np.asarray(order, dtype=np.int64)
    batches = []
    while len(remaining):
        most = max(1, int(budget // lengths[remaining[0]]))  # fewer fit if later items are larger
        largest = np.maximum.accumulate(lengths[remaining[:most]])
        fits = largest * np.arange(1, len(largest) + 1) <= budget
        if not mixed:
            fits &= lengths[remaining[:most]] == largest[0]
        count = max(1, int(np.argmin(fits)) if not fits.all() else len(fits))
        batches.append(remaining[:count])
        remaining = remaining[count:]
    return batches


def by_length(sizes: Sequence[int]) -> Indices:
    """Return the positions in `sizes` from the smallest to the largest, as an `order` for `bucket`."""
    return np.argsort(np.asarray(sizes, dtype=np.int64), kind="stable")


def pad_batch(items: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack tensors of different lengths, padded with zeros at the end.

    The padded length F is rounded up by `round_length`, because libraries cache data for every shape that occurs.

    Args:
        items: B tensors ``[F_i, D]`` of one dtype and device.

    Returns:
        the batch ``[B, F, D]`` and the lengths, int64 ``[B]``.
    """
    lengths = torch.tensor([len(x) for x in items])
    batch = items[0].new_zeros(len(items), round_length(int(lengths.max())), items[0].shape[1])
    for row, item in zip(batch, items, strict=True):
        row[: len(item)] = item
    return batch, lengths


def length_mask(lengths: torch.Tensor, frames: int) -> torch.Tensor:
    """Return a mask, bool ``[B, frames]``, that is true within each item's length, int64 ``[B]``."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def round_length(length: int) -> int:
    """Round a length up to one of 16 steps per octave, each a multiple of 4.

    This limits the number of shapes. From a length of 64, the rounding adds at most 1/16.
    """
    step = max(4, 1 << max(0, length.bit_length() - 5))
    return -(-length // step) * step
