"""Items of similar size side by side, so that little of a batch is padding."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def by_size(sizes: Sequence[int], budget: int, *, mixed: bool = True) -> Iterator[list[int]]:
    """Yield the items' indices in batches, the smallest items first.

    Args:
        sizes: of the items, each as it is padded when it is alone.
        budget: as `grouped` takes it.
        mixed: whether items of different sizes may share a batch, all padded to the longest.
    """
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    runs = [order] if mixed else [list(same) for _, same in itertools.groupby(order, sizes.__getitem__)]
    for run in runs:
        yield from grouped(run, sizes, budget)


def grouped(order: Sequence[int], sizes: Sequence[int], budget: int) -> list[list[int]]:
    """Cut `order`, a sequence of indices into `sizes`, into groups that with their padding hold at most `budget`.

    Args:
        order: neighbours of similar size waste least.
        sizes: of the items.
        budget: the largest of a group times its count stays within it; a larger item is a group of its own.
    """
    groups: list[list[int]] = []
    largest = 0
    for i in order:
        largest = max(largest, sizes[i])
        if groups and largest * (len(groups[-1]) + 1) <= budget:
            groups[-1].append(i)
        else:
            groups.append([i])
            largest = sizes[i]
    return groups


def bucket(lengths: Indices, budget: int) -> list[Indices]:
    """Cut examples into batches of similar length whose padded size is at most `budget`.

    Args:
        lengths: int64 ``[N]``, the length of each example.
        budget: bound on count x longest; an example longer than that is a batch of its own.

    Returns:
        Positions in `lengths`, longest batch first; every batch but the last is as full as it can be.
    """
    order = np.argsort(-lengths, kind="stable")
    batches = []
    while len(order):
        count = max(1, int(budget // max(1, lengths[order[0]])))
        batches.append(order[:count])
        order = order[count:]
    return batches


def pad_batch(items: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack ``[F_i, D]`` into ``[B, F, D]`` with zeros behind, and return it with the lengths int64 ``[B]``.

    F is rounded up by `round_length`: libraries keep what they prepare for each shape, and memory would grow with them.
    """
    lengths = torch.tensor([len(x) for x in items])
    batch = items[0].new_zeros(len(items), round_length(int(lengths.max())), items[0].shape[1])
    for row, item in zip(batch, items, strict=True):
        row[: len(item)] = item
    return batch, lengths


def round_length(length: int) -> int:
    """Return the next of sixteen lengths an octave, a multiple of 4: few shapes, and at most a sixteenth of padding."""
    step = max(4, 1 << max(0, length.bit_length() - 5))
    return -(-length // step) * step
