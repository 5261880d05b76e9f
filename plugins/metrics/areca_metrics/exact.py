"""The metric `exact`."""

from __future__ import annotations

from areca.types import Example
from areca_metrics.shares import Share
from areca_metrics.texts import texts


class Exact(Share):
    """The share of answers with the same words as the reference. White space does not matter."""

    def holds(self, example: Example) -> bool:
        """Return whether the answer matches."""
        [(answer, reference)] = texts([example])
        return answer.split() == reference.split()
