"""The metric `length-ratio`."""

from __future__ import annotations

from collections.abc import Sequence

from areca.component import Configured
from areca.types import Audio, Example

from areca_acme_lab import NoOptions


class LengthRatio(Configured[NoOptions]):
    """The target of the component `length-ratio`, and its instance: seconds of answers over seconds of references."""

    def count(self, examples: Sequence[Example]) -> list[tuple[float, float]]:
        """Return the seconds of the answer and of the reference for each example."""
        return [(_seconds(e.answer.audio), _seconds(e.reference.audio)) for e in examples]

    def score(self, sums: Sequence[float]) -> float:
        """Return the ratio of the summed seconds."""
        answer_s, reference_s = sums
        return answer_s / reference_s if reference_s else 0.0


def _seconds(audio: Audio | None) -> float:
    return 0.0 if audio is None else audio.seconds
