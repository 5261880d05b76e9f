"""The metrics `wer` and `cer`; jiwer counts the edits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from areca.component import Configured
from areca.types import Example
from areca_metrics.texts import texts


def word_errors(answer: str, reference: str) -> tuple[int, int]:
    """Return the number of edits (substituted, deleted and inserted words), and of words in the reference."""
    import jiwer

    return _errors(jiwer.process_words([reference], [answer]))


def character_errors(answer: str, reference: str) -> tuple[int, int]:
    """Return the number of edits (substituted, deleted and inserted characters), and of characters in the reference."""
    import jiwer

    return _errors(jiwer.process_characters([reference], [answer]))


def _errors(alignment: Any) -> tuple[int, int]:
    missed = alignment.substitutions + alignment.deletions
    return missed + alignment.insertions, missed + alignment.hits


class _ErrorRate(Configured[Any]):
    errors: Callable[[str, str], tuple[int, int]]

    def count(self, examples: Sequence[Example]) -> list[list[float]]:
        """Return the edits of each answer, and the length of its reference."""
        return [list(map(float, self.errors(answer, reference))) for answer, reference in texts(examples)]

    def score(self, sums: Sequence[float]) -> float:
        """Return edits / length. If all references are empty, the rate is the number of insertions, as in jiwer."""
        return sums[0] / (sums[1] or 1.0)


class WordErrors(_ErrorRate):
    """The word error rate."""

    errors = staticmethod(word_errors)


class CharacterErrors(_ErrorRate):
    """The character error rate."""

    errors = staticmethod(character_errors)
