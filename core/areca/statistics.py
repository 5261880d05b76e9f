"""Estimates with 95 % intervals, and the paired bootstrap test. Counts are added up over items, then scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from areca.errors import InvalidConfig

CONFIDENCE = 0.95
_Z = 1.959963984540054
"""Standard normal quantile at 0.975."""
RESAMPLES = 1000
"""Number of samples of a bootstrap."""
SEED = 0
"""Seed of the bootstrap intervals."""
TEST_SEED = 12345
"""Seed of the paired test. It is sacrebleu's default, so that its metrics get its p-values."""
SIGNIFICANT = 0.05
"""A difference with a p-value below this is called significant."""
Score = Callable[[Sequence[float]], float]
"""Maps the sums of counts, float ``[k]``, to a score."""
Counts = Sequence[Sequence[float]]
"""One row of counts for each item, ``[n, k]``."""
PValue = Callable[[Sequence[float], float], float]
"""Maps the differences of resampled scores, and the one observed, to a p-value."""
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score of `n` items and its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


def wilson(successes: int, n: int) -> Estimate:
    """Return a share and its score interval (Wilson 1927, JASA 22), which also holds for shares near 0 and 1.

    Raises:
        InvalidConfig: there are no items.
    """
    _require_items(n)
    share, spread = successes / n, _Z**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return Estimate(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)), n)


def ratio(numerators: Sequence[float], denominators: Sequence[float], *, seed: int = SEED) -> Estimate:
    """Return a ratio of two sums over the same items, with its percentile bootstrap interval.

    A resample whose denominators sum to 0 counts as infinite, or as 0 if its numerators sum to 0 too.

    Raises:
        InvalidConfig: there are no items.
    """
    return bootstrap(np.array([numerators, denominators], dtype=np.float64).T.tolist(), _divide, seed=seed)


def bootstrap(counts: Counts, score: Score, *, groups: Sequence[object] | None = None, seed: int = SEED) -> Estimate:
    """Score the summed counts; the interval holds 95 % of `RESAMPLES` samples drawn with replacement.

    Args:
        counts: one row for each item, ``[n, k]``.
        score: maps summed counts to a score.
        groups: the group of each item, such as its question: items of a group are drawn together. None: items are
            drawn one by one.
        seed: seed of the samples.

    Raises:
        InvalidConfig: there are no items.
    """
    _require_items(len(counts))
    rows = np.array(counts if groups is None else sum_groups(counts, groups), dtype=np.float64)
    n = len(rows)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)
    low, high = np.quantile(
        _score_rows(weights @ rows, score), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], method="nearest"
    )
    value = score(rows.sum(axis=0).tolist())
    return Estimate(value, float(low), float(high), len(counts))


def paired_p(
    baseline: Counts, counts: Counts, score: Score, *, p_value: PValue | None = None, seed: int = TEST_SEED
) -> float:
    """Return the p-value of the difference of two systems on the same items, by paired bootstrap resampling.

    The items are resampled `RESAMPLES` times, the same ones for both systems (Koehn 2004, EMNLP).

    Args:
        baseline: counts of one system, ``[n, k]``.
        counts: counts of the other system on the same items, in the same order, ``[n, k]``.
        score: maps summed counts to a score.
        p_value: computes the p-value from the differences of the samples' scores and the observed difference; None:
            `two_sided_p`.
        seed: seed of the samples, which are those of sacrebleu's ``PairedTest``.

    Raises:
        InvalidConfig: there are no items.
        ValueError: the systems have different numbers of items.
    """
    _require_items(len(counts))
    if len(baseline) != len(counts):
        raise ValueError(f"expected counts of the same items, got {len(baseline)} and {len(counts)}")
    one, other = np.array(baseline, dtype=np.float64), np.array(counts, dtype=np.float64)
    if np.array_equal(one, other):
        return 1.0
    n = len(one)
    drawn = np.random.default_rng(seed).choice(n, size=(RESAMPLES, n), replace=True)
    weights = np.stack([np.bincount(sample, minlength=n) for sample in drawn]).astype(np.float64)
    pairs = zip(_score_rows(weights @ one, score), _score_rows(weights @ other, score), strict=True)
    differences = [after - before for before, after in pairs]
    observed = score(other.sum(axis=0).tolist()) - score(one.sum(axis=0).tolist())
    return (p_value or two_sided_p)(differences, observed)


def two_sided_p(differences: Sequence[float], observed: float) -> float:
    """Return the share of resampled differences that are at least as far from their mean as `observed` is from 0.

    The observed difference counts as one sample, so the smallest p-value of 1,000 samples is 1 / 1001.
    """
    centre = sum(differences) / len(differences)
    extreme = sum(abs(difference - centre) >= abs(observed) for difference in differences)
    return (extreme + 1) / (len(differences) + 1)


def sum_groups(counts: Counts, groups: Sequence[object]) -> list[list[float]]:
    """Return the summed counts of each group, in the order in which groups first occur."""
    index = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((len(index), len(counts[0])))
    np.add.at(sums, [index[group] for group in groups], np.array(counts, dtype=np.float64))
    rows: list[list[float]] = sums.tolist()
    return rows


def _score_rows(sums: _Floats, score: Score) -> list[float]:
    return [score(row) for row in sums.tolist()]


def _divide(sums: Sequence[float]) -> float:
    return sums[0] / sums[1] if sums[1] else (math.inf if sums[0] else 0.0)


def _require_items(n: int) -> None:
    if n < 1:
        raise InvalidConfig("nothing to score: expected at least one answer")
