"""Values to speak: numbers, dates and times, and the split of each, which all languages and voices share."""

from __future__ import annotations

import datetime
import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

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
"""The values of one kind, in groups that are equally likely."""


def split_of(value: Value, test_share: float, validation_share: float) -> str:
    """Return ``"test"``, ``"validation"`` or ``"train"``, by a hash of kind and value."""
    digest = hashlib.sha256(f"{value.kind}:{value}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < test_share:
        return "test"
    return "validation" if position < test_share + validation_share else "train"


@functools.cache
def everything() -> Mapping[str, Groups]:
    """Return the values of each kind; the groups of numbers are those of one, two, three and four digits."""
    numbers = (range(10), range(10, 100), range(100, 1000), range(1000, 10_000))
    days = (_FIRST_DAY + datetime.timedelta(n) for n in range((_LAST_DAY - _FIRST_DAY).days + 1))
    return {
        "number": tuple(tuple(Value("number", (n,)) for n in group) for group in numbers),
        "date": (tuple(Value("date", (day.year, day.month, day.day)) for day in days),),
        "time": (tuple(Value("time", (hour, minute)) for hour in range(24) for minute in range(60)),),
    }


def draw(groups: Mapping[str, Groups], rng: np.random.Generator, *, repeat: bool) -> Iterator[Value]:
    """Yield values, each kind in turn and each of its groups in turn, without replacement.

    Args:
        groups: by kind, the values of each group; groups may be empty.
        rng: shuffles each group.
        repeat: restart a group when it is used up; otherwise leave it out from then on.
    """
    kinds = [[_shuffle(group, rng, repeat) for group in of_kind if group] for of_kind in groups.values()]
    while any(kinds):
        for of_kind in kinds:
            while of_kind:
                of_kind.append(turn := of_kind.pop(0))
                if (value := next(turn, None)) is not None:
                    yield value
                    break
                of_kind.pop()


def _shuffle(group: tuple[Value, ...], rng: np.random.Generator, repeat: bool) -> Iterator[Value]:
    while True:
        for index in rng.permutation(len(group)):
            yield group[index]
        if not repeat:
            return
