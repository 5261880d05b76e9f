"""The metric `exact`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from areca.component import Configured
from areca.statistics import wilson
from areca.types import Example
from areca_metrics.texts import texts


class Exact(Configured[Any]):
    """The share of answers with the same words as the reference. White space does not matter."""

    def count(self, examples: Sequence[Example]) -> list[list[float]]:
        """Return two counts for each example: 1 or 0 for a match, and 1 for the example."""
        return [[float(answer.split() == reference.split()), 1.0] for answer, reference in texts(examples)]

    def score(self, sums: Sequence[float]) -> float:
        """Return the share of matches."""
        return sums[0] / sums[1]

    def interval(self, counts: Sequence[Sequence[float]]) -> tuple[float, float]:
        """Return the bounds of Wilson's interval, which is also valid for shares near 0 and 1."""
        estimate = wilson(round(sum(matches for matches, _ in counts)), len(counts))
        return estimate.low, estimate.high

    def details(self, language: str | None) -> str:
        """Return the type of the interval."""
        return "interval:wilson"
