"""What is said: numbers, dates and times, and the split that each belongs to, whatever the language and the voice."""

from __future__ import annotations

import datetime
import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

_FIRST_DAY, _LAST_DAY = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)


@dataclass(frozen=True, slots=True, order=True)
class Value:
    """One thing to say.

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
        """Read back what `str` wrote."""
        return cls(kind, tuple(int(part) for part in text.replace(":", "-").split("-")))


def split_of(value: Value, test_share: float, validation_share: float) -> str:
    """Return ``"test"``, ``"validation"`` or ``"train"``, by a hash of kind and value alone."""
    digest = hashlib.sha256(f"{value.kind}:{value}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < test_share:
        return "test"
    return "validation" if position < test_share + validation_share else "train"


@functools.cache
def everything() -> Mapping[str, tuple[tuple[Value, ...], ...]]:
    """Return the values of each kind, in the groups that are equally likely: numbers by how many digits they have."""
    numbers = (range(10), range(10, 100), range(100, 1000), range(1000, 10_000))
    days = (_FIRST_DAY + datetime.timedelta(n) for n in range((_LAST_DAY - _FIRST_DAY).days + 1))
    return {
        "number": tuple(tuple(Value("number", (n,)) for n in group) for group in numbers),
        "date": (tuple(Value("date", (day.year, day.month, day.day)) for day in days),),
        "time": (tuple(Value("time", (hour, minute)) for hour in range(24) for minute in range(60)),),
    }


def draw(
    groups: Mapping[str, tuple[tuple[Value, ...], ...]], rng: np.random.Generator, *, repeat: bool
) -> Iterator[Value]:
    """Yield values, each kind in turn and each of its groups in turn, without replacement.

    Args:
        groups: by kind, the values of each group; groups may be empty.
        rng: shuffles each group.
        repeat: begin a group anew when it is used up; otherwise it is left out from then on.
    """
    kinds = [itertools.cycle([_shuffled(group, rng, repeat) for group in of_kind if group]) for of_kind in groups.values()]
    sizes = [sum(1 for group in of_kind if group) for of_kind in groups.values()]
    while True:
        alive = False
        for kind, size in zip(kinds, sizes, strict=True):
            for _ in range(size):
                if (value := next(next(kind), None)) is not None:
                    alive = True
                    yield value
                    break
        if not alive:
            return


def _shuffled(group: tuple[Value, ...], rng: np.random.Generator, repeat: bool) -> Iterator[Value]:
    while True:
        for index in rng.permutation(len(group)):
            yield group[index]
        if not repeat:
            return
