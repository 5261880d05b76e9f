"""The metric `exact`."""

from __future__ import annotations

from collections.abc import Sequence

from areca.statistics import wilson
from areca.types import Example
from areca_metrics.loaded import Loaded, texts


class Exact(Loaded):
    """The share of answers whose words are those of the reference. White space does not count."""

    def count(self, examples: Sequence[Example]) -> list[list[float]]:
        """Return for each example whether it matches, 0 or 1, and 1."""
        return [[float(answer.split() == reference.split()), 1.0] for answer, reference in texts(examples)]

    def score(self, sums: Sequence[float]) -> float:
        """Return the share of matches."""
        return sums[0] / sums[1]

    def interval(self, counts: Sequence[Sequence[float]]) -> tuple[float, float]:
        """Return the bounds of Wilson's interval, which also holds for shares near 0 and 1."""
        found = wilson(round(sum(matches for matches, _ in counts)), len(counts))
        return found.low, found.high

    def details(self, language: str | None) -> str:
        """Return the kind of the interval."""
        return "interval:wilson"
