"""The metric `length-ratio`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from areca.types import Example


class LengthRatio:
    """The target of the component `length-ratio`, and its instance: seconds of answers over seconds of references."""

    @classmethod
    def load(cls, config: Any, needs: Any, files: Path | None, *, device: Any, dtype: Any) -> LengthRatio:
        """Return the metric, which has no state."""
        return cls()

    def count(self, examples: Sequence[Example]) -> list[tuple[float, float]]:
        """Return seconds of the answer and of the reference, for each example."""
        return [(_seconds(e.answer), _seconds(e.reference)) for e in examples]

    def score(self, sums: Sequence[float]) -> float:
        """Return the ratio of the sums."""
        answer_s, reference_s = sums
        return answer_s / reference_s


def _seconds(side: Any) -> float:
    return 0.0 if side is None or side.audio is None else side.audio.seconds
