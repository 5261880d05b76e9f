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
    """Cut items into batches of similar size whose padded size is at most `budget`.

    Args:
        sizes: size of each item, ``[N]``.
        budget: bound on the number of items in a batch times the largest of them; a larger item gets its own batch.
        order: the items to cut, in order; neighbours of similar size waste least. None: all, the largest first.
        mixed: whether items of different sizes may share a batch.

    Returns:
        The items of each batch as positions in `sizes`, int64. A batch takes as many items as fit.
    """
    known = np.maximum(np.asarray(sizes, dtype=np.int64), 1)
    left = np.argsort(-known, kind="stable") if order is None else np.asarray(order, dtype=np.int64)
    batches = []
    while len(left):
        most = max(1, int(budget // known[left[0]]))  # with larger items behind the first, fewer fit
        largest = np.maximum.accumulate(known[left[:most]])
        fits = largest * np.arange(1, len(largest) + 1) <= budget
        if not mixed:
            fits &= known[left[:most]] == largest[0]
        count = max(1, int(np.argmin(fits)) if not fits.all() else len(fits))
        batches.append(left[:count])
        left = left[count:]
    return batches


def by_length(sizes: Sequence[int]) -> Indices:
    """Return the positions of `sizes`, the smallest first: an `order` for `bucket`."""
    return np.argsort(np.asarray(sizes, dtype=np.int64), kind="stable")


def pad_batch(items: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack tensors of different lengths, padded with zeros at the end.

    F is rounded up by `round_length`: libraries cache data for each shape, so memory grows with the number of shapes.

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


def round_length(length: int) -> int:
    """Round a length up to one of 16 steps per octave, each a multiple of 4.

    This bounds the number of shapes; from a length of 64 on, padding is at most 1/16.
    """
    step = max(4, 1 << max(0, length.bit_length() - 5))
    return -(-length // step) * step
