"""The metrics `wer` and `cer`, whose edits are counted by jiwer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from areca.types import Example
from areca_metrics.loaded import Loaded, texts


def word_errors(answer: str, reference: str) -> tuple[int, int]:
    """Return the words substituted, deleted and inserted, and the words of the reference."""
    import jiwer

    return _errors(jiwer.process_words([reference], [answer]))


def character_errors(answer: str, reference: str) -> tuple[int, int]:
    """Return the characters substituted, deleted and inserted, and the characters of the reference."""
    import jiwer

    return _errors(jiwer.process_characters([reference], [answer]))


def _errors(found: Any) -> tuple[int, int]:
    wrong = found.substitutions + found.deletions
    return wrong + found.insertions, wrong + found.hits


class _ErrorRate(Loaded):
    errors: Callable[[str, str], tuple[int, int]]

    def count(self, examples: Sequence[Example]) -> list[list[float]]:
        """Return the edits and the length of each reference."""
        return [list(map(float, self.errors(answer, reference))) for answer, reference in texts(examples)]

    def score(self, sums: Sequence[float]) -> float:
        """Return edits by length; with empty references each insertion counts 1, as in jiwer: no rate is infinite."""
        return sums[0] / (sums[1] or 1.0)


class WordErrors(_ErrorRate):
    """The word error rate."""

    errors = staticmethod(word_errors)


class CharacterErrors(_ErrorRate):
    """The character error rate."""

    errors = staticmethod(character_errors)
