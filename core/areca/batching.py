"""Items of similar size side by side, so that little of a batch is padding."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence


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
