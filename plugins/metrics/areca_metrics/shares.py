"""The base of metrics whose score is the share of the answers that have a property."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from areca.component import Configured
from areca.statistics import wilson
from areca.types import Example


class Share(Configured[Any]):
    """The share of answers for which `holds` is true."""

    def holds(self, example: Example) -> bool:
        """Return whether an answer has the property."""
        raise NotImplementedError

    def count(self, examples: Sequence[Example]) -> list[list[float]]:
        """Return two counts for each example: 1 or 0 for the property, and 1 for the example."""
        return [[float(self.holds(example)), 1.0] for example in examples]

    def score(self, sums: Sequence[float]) -> float:
        """Return the share."""
        return sums[0] / sums[1]

    def interval(self, counts: Sequence[Sequence[float]]) -> tuple[float, float]:
        """Return the bounds of Wilson's interval, which is also valid for shares near 0 and 1."""
        estimate = wilson(round(sum(holding for holding, _ in counts)), len(counts))
        return estimate.low, estimate.high

    def details(self, language: str | None) -> str:
        """Return the type of the interval."""
        return "interval:wilson"
