"""Values to speak: numbers, dates and times. The split of a value is the same in all languages and voices."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from areca.fitting.recordings.splits import assign_split

_FIRST_DAY, _LAST_DAY = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)


@dataclass(frozen=True, slots=True, order=True)
class Value:
    """A value to speak.

    Args:
        kind: ``"number"``, ``"date"`` or ``"time"``.
        parts: the number; year, month and day; or hour and minute.
    """

    kind: str
    parts: tuple[int, ...]

    def __str__(self) -> str:
        if self.kind == "number":
            return str(self.parts[0])
        if self.kind == "date":
            return datetime.date(*self.parts).isoformat()
        return f"{self.parts[0]:02d}:{self.parts[1]:02d}"

    @classmethod
    def parse(cls, kind: str, text: str) -> Value:
        """Parse the text that `str` returns."""
        return cls(kind, tuple(int(part) for part in text.replace(":", "-").split("-")))


Groups = tuple[tuple[Value, ...], ...]
"""The values of one kind, in groups that are drawn equally often."""


def split_of(value: Value, test_share: float, validation_share: float) -> str:
    """Return the split of `value`, see `areca.fitting.recordings.splits.assign_split`."""
    return assign_split(f"{value.kind}:{value}", test_share, validation_share)


@functools.cache
def all_values(digits: int = 4) -> Mapping[str, Groups]:
    """Return the values of each kind. Numbers have a group for each number of digits, from one to `digits`."""
    numbers = (range(10), range(10, 100), range(100, 1000), range(1000, 10_000))[:digits]
    days = (_FIRST_DAY + datetime.timedelta(n) for n in range((_LAST_DAY - _FIRST_DAY).days + 1))
    return {
        "number": tuple(tuple(Value("number", (n,)) for n in group) for group in numbers),
        "date": (tuple(Value("date", (day.year, day.month, day.day)) for day in days),),
        "time": (tuple(Value("time", (hour, minute)) for hour in range(24) for minute in range(60)),),
    }


def draw_values(groups: Mapping[str, Groups], rng: np.random.Generator, *, repeat: bool) -> Iterator[Value]:
    """Yield values: the kinds take turns, and so do the groups of a kind. A group is drawn without replacement.

    Args:
        groups: values by kind and group; groups may be empty.
        rng: shuffles each group.
        repeat: whether a finished group starts again; if not, it takes no more turns.
    """
    queues = [[_shuffle(group, rng, repeat) for group in kind_groups if group] for kind_groups in groups.values()]
    while any(queues):
        for queue in queues:
            # Rotate the kind's groups until one of them has a value; remove those that are finished.
            while queue:
                queue.append(group := queue.pop(0))
                if (value := next(group, None)) is not None:
                    yield value
                    break
                queue.pop()


def _shuffle(group: tuple[Value, ...], rng: np.random.Generator, repeat: bool) -> Iterator[Value]:
    """Yield the values of a group in random order; if `repeat`, again and again, each time in another order."""
    while True:
        for index in rng.permutation(len(group)):
            yield group[index]
        if not repeat:
            return
