"""Bases of the metrics of this package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from areca.component import Configured
from areca.types import Audio, Example


class Mean(Configured[Any]):
    """A metric whose score is the mean of the examples' values."""

    def count(self, examples: Sequence[Example]) -> list[list[float]]:
        """Return the value of each example, and 1 for the example."""
        return [[self.value(example), 1.0] for example in examples]

    def score(self, sums: Sequence[float]) -> float:
        """Return the mean."""
        return sums[0] / sums[1]

    def value(self, example: Example) -> float:
        """Return the value of one example."""
        raise NotImplementedError


def recordings(example: Example, other: str) -> tuple[Audio, Audio]:
    """Return the recording of the answer, and the one that it is compared with (`areca_speech_metrics.Other`)."""
    answer, compared = example.answer.audio, getattr(example, other).audio
    assert answer is not None and compared is not None  # core leaves out examples without them
    return answer, compared
