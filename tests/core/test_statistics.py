"""Estimates and the paired test against independent formulas."""

from __future__ import annotations

import numpy as np
import pytest

from areca.errors import InvalidConfig
from areca.statistics import Estimate, bootstrap, paired_p, ratio, wilson


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (10, 10), (350, 400)])
def test_wilson_solves_its_equation(successes: int, n: int) -> None:
    # The bounds are the p with |p - share| = z sqrt(p (1 - p) / n): roots of a quadratic.
    z2, share = 1.959963984540054**2, successes / n
    low, high = sorted(np.roots([1 + z2 / n, -2 * share - z2 / n, share**2]).real)
    found = wilson(successes, n)
    assert (found.value, found.n) == (share, n)
    assert found.low == pytest.approx(max(low, 0.0), abs=1e-9)
    assert found.high == pytest.approx(min(high, 1.0), abs=1e-9)


def test_bootstrap_interval_is_that_of_the_normal_approximation() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(2000)
    found = ratio(values.tolist(), [1.0] * len(values))
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=half / 5)
    assert found.high == pytest.approx(values.mean() + half, abs=half / 5)


def test_ratio_resamples_in_pairs() -> None:
    values = [1.0, 0.0, 1.0, 5.0] * 20
    found = ratio(values, values)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def mean(sums: list[float]) -> float:
    return sums[0] / sums[1]


def test_a_system_does_not_differ_from_itself_and_a_better_one_does() -> None:
    rng = np.random.default_rng(0)
    hits = rng.random(300) < 0.5
    worse = [[float(hit), 1.0] for hit in hits]
    better = [[float(hit or rng.random() < 0.2), 1.0] for hit in hits]
    assert paired_p(worse, worse, mean) == 1.0
    assert paired_p(worse, better, mean) == paired_p(better, worse, mean) == 1 / 1001


def test_the_paired_test_rejects_as_often_as_it_says() -> None:
    """Of systems that are equally good, about one in twenty is called significant."""
    rng = np.random.default_rng(1)
    called = 0
    for _ in range(300):
        one, other = ([[float(hit), 1.0] for hit in rng.random(60) < 0.5] for _ in range(2))
        called += paired_p(one, other, mean) < 0.05
    assert 6 <= called <= 26  # 15 on average


def test_the_paired_test_needs_the_same_items() -> None:
    with pytest.raises(ValueError, match="the same items, got 2 and 1"):
        paired_p([[1.0], [0.0]], [[1.0]], sum)
    with pytest.raises(InvalidConfig, match="at least one answer"):
        paired_p([], [], sum)


def test_groups_are_drawn_together_and_items_counted() -> None:
    counts = [[1.0, 1.0], [0.0, 1.0]] * 40
    alone, twice = bootstrap(counts, mean), bootstrap(counts * 2, mean, groups=[*range(80)] * 2)
    assert twice == Estimate(alone.value, alone.low, alone.high, 160)
