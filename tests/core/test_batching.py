"""Batches of items of similar size."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from areca.batching import bucket, by_length


def lists(*arguments: object, **options: object) -> list[list[int]]:
    return [batch.tolist() for batch in bucket(*arguments, **options)]  # type: ignore[arg-type]


def cut_one_by_one(order: Sequence[int], sizes: Sequence[int], budget: int) -> list[list[int]]:
    groups: list[list[int]] = []
    for i in order:
        if groups and max(sizes[j] for j in (*groups[-1], i)) * (len(groups[-1]) + 1) <= budget:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def test_batches_follow_a_given_order_within_budget() -> None:
    sizes = [320, 64, 640, 1920, 64, 128, 64]
    assert lists(sizes, 640, order=[6, 1, 4, 5, 0, 2, 3]) == [[6, 1, 4, 5], [0], [2], [3]]  # 1,920 gets its own
    assert lists(sizes, 640, order=[5, 1, 4, 6, 0, 2, 3]) == [[5, 1, 4, 6], [0], [2], [3]], "the largest came first"
    assert lists(sizes, 640, order=[]) == []


def test_the_largest_come_first_by_default() -> None:
    assert lists([5, 2, 9, 2, 1], 10) == [[2], [0, 1], [3, 4]]
    assert lists([], 10) == []
    assert lists([0, 0, 0], 2) == [[0, 1], [2]], "nothing counts as one"


def test_items_of_similar_size_share_a_batch() -> None:
    few, many = [5, 2, 9, 2, 1], [5, 2, 5, 2, 1]
    assert lists(few, 10, order=by_length(few)) == [[4, 1, 3], [0], [2]]
    assert lists(many, 100, order=by_length(many)) == [[4, 1, 3, 0, 2]]
    assert lists(many, 100, order=by_length(many), mixed=False) == [[4], [1, 3], [0, 2]]


@pytest.mark.parametrize("seed", range(20))
def test_it_cuts_as_one_item_after_the_other_would(seed: int) -> None:
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 60, size=40).tolist()
    budget = int(generator.integers(20, 400))
    largest_first = sorted(range(40), key=lambda i: -sizes[i])
    for order in (generator.permutation(40).tolist(), by_length(sizes).tolist(), largest_first):
        assert lists(sizes, budget, order=order) == cut_one_by_one(order, sizes, budget)
    assert lists(sizes, budget) == cut_one_by_one(largest_first, sizes, budget)
    alike = [list(group) for _, group in itertools.groupby(by_length(sizes).tolist(), sizes.__getitem__)]
    expected = [batch for group in alike for batch in cut_one_by_one(group, sizes, budget)]
    assert lists(sizes, budget, order=by_length(sizes), mixed=False) == expected
