"""The texts that the metrics of this package compare."""

from __future__ import annotations

from collections.abc import Sequence

from areca.types import Example


def texts(examples: Sequence[Example]) -> list[tuple[str, str]]:
    """Return the texts of each answer and its reference; ``""`` for a missing text."""
    return [(example.answer.text or "", example.reference.text or "") for example in examples]
