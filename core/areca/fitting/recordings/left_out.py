"""Count what a dataset leaves out, by reason. Light."""

from __future__ import annotations

from collections import Counter

from areca.errors import shorten


class LeftOut:
    """Counts what is left out, by reason, and keeps the first example of each reason."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Count one or more; `example` names the first, such as a file, or the file and line of a table."""
        self._counts[reason] += count
        self._first.setdefault(reason, shorten(example))

    @property
    def counts(self) -> list[tuple[str, str, int]]:
        """Each reason with its first example and its count, the most frequent first: arguments of `add`."""
        return [(reason, self._first[reason], count) for reason, count in self._counts.most_common()]

    @property
    def messages(self) -> list[str]:
        """One line for each reason, the most frequent first: the number, the reason, and the first example."""
        return [f"{count:,} x {reason} (first: {first})" for reason, first, count in self.counts]
