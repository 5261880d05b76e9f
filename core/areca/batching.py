"""Batch items of similar size together, so that batches contain little padding."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def by_size(sizes: Sequence[int], budget: int, *, mixed: bool = True) -> Iterator[list[int]]:
    """Yield batches of indices, the smallest items first.

    Args:
        sizes: size of each item, including the padding that it gets in a batch of one.
        budget: as in `grouped`.
        mixed: whether a batch may contain items of different sizes, padded to the longest.
    """
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    runs = [order] if mixed else [list(same) for _, same in itertools.groupby(order, sizes.__getitem__)]
    for run in runs:
        yield from grouped(run, sizes, budget)


def grouped(order: Sequence[int], sizes: Sequence[int], budget: int) -> list[list[int]]:
    """Split `order` into consecutive groups whose padded size is at most `budget`.

    Args:
        order: indices into `sizes`; padding is smallest if neighbours have similar sizes.
        sizes: size of each item.
        budget: maximum of (largest size in a group) x (items in the group); an item larger than this gets its own
            group.

    Returns:
        the groups of indices, in the order of `order`.
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
    """Group examples of similar length into batches whose padded size is at most `budget`.

    Args:
        lengths: int64 ``[N]``, the length of each example.
        budget: maximum of (longest length in a batch) x (examples in the batch); a longer example gets its own batch.

    Returns:
        Positions in `lengths` as int64 arrays, longest batch first; every batch but the last is as full as possible.
    """
    order = np.argsort(-lengths, kind="stable")
    batches = []
    while len(order):
        count = max(1, int(budget // max(1, lengths[order[0]])))
        batches.append(order[:count])
        order = order[count:]
    return batches


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
