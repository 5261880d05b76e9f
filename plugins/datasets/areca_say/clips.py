"""The recordings of a value's words, in order; the words are those of `areca_say.wording`."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping

from areca_say.values import Value
from areca_say.wording import english_year, half_day

Groups = tuple[tuple[str, ...], ...]
"""Keys of recordings below ``digits/``; between groups the voice pauses a little."""

HUNDREDS, TENS = 100, 10


def clips(value: Value, language: str) -> Groups:
    """Return the recordings of the words of `value`, in order, in groups without a pause.

    A voice that lacks one of the keys cannot say the value.
    """
    groups = _SAYS[value.kind][language](*value.parts)
    return tuple(tuple(group) for group in groups if group)


def _weekday(year: int, month: int, day: int) -> str:
    return f"day-{datetime.date(year, month, day).isoweekday() % 7}"


def _month(month: int) -> str:
    return f"mon-{month - 1}"


def _english(number: int) -> list[str]:
    thousands, rest = divmod(number, 1000)
    hundreds, rest = divmod(rest, HUNDREDS)
    said = [str(thousands), "thousand"] if thousands else []
    said += [str(hundreds), "hundred"] if hundreds else []
    if rest > 20 and rest % TENS:
        return [*said, str(rest - rest % TENS), str(rest % TENS)]
    return [*said, str(rest)] if rest or not said else said


def _english_ordinal(number: int) -> list[str]:
    if number > 20 and number % TENS:
        return [str(number - number % TENS), f"h-{number % TENS}"]
    return [f"h-{number}"]


def _after_hundred(number: int) -> list[str]:
    if number == 0:
        return ["hundred"]
    return ["oh", str(number)] if number < TENS else _english(number)


def _english_date(year: int, month: int, day: int) -> list[list[str]]:
    halves = english_year(year)
    said = _english(year) if halves is None else [*_english(halves[0]), *_after_hundred(halves[1])]
    return [[_weekday(year, month, day)], [_month(month), *_english_ordinal(day)], said]


def _english_time(hour: int, minute: int) -> list[list[str]]:
    shown, half = half_day(hour)
    return [[str(shown)], _after_hundred(minute) if minute else [], [f"{half}-m"]]


def _spanish(number: int) -> list[str]:
    thousands, rest = divmod(number, 1000)
    said = [str(thousands), "thousand"] if thousands > 1 else ["thousand"] * thousands
    hundreds, rest = divmod(rest, HUNDREDS)
    if hundreds == 1:
        said.append("100-and" if rest else "hundred")
    elif hundreds:
        said.append(str(hundreds * HUNDREDS))
    if rest > 30 and rest % TENS:
        return [*said, str(rest - rest % TENS), "and", str(rest % TENS)]
    return [*said, str(rest)] if rest or not said else said


def _spanish_date(year: int, month: int, day: int) -> list[list[str]]:
    days = ["h-1"] if day == 1 else _spanish(day)
    return [[_weekday(year, month, day)], [*days, "es-de", _month(month)], ["es-de", *_spanish(year)]]


def _spanish_time(hour: int, minute: int) -> list[list[str]]:
    shown, half = half_day(hour)
    minutes = (["0"] if minute < TENS else []) + _spanish(minute) if minute else []
    return [["1F" if shown == 1 else str(shown)], minutes, [f"{half}-m"]]


def _french(number: int, one: str = "1") -> list[str]:
    thousands, rest = divmod(number, 1000)
    said = [str(thousands), "thousand"] if thousands > 1 else ["thousand"] * thousands
    hundreds, rest = divmod(rest, HUNDREDS)
    said += [str(hundreds), "hundred"] if hundreds > 1 else ["hundred"] * hundreds
    return said + _french_tens(rest, one) if rest or not said else said


def _french_tens(number: int, one: str) -> list[str]:
    if number == 1:
        return [one]
    if number <= 20 or number % TENS == 0:
        return [str(number)]
    tens = number - number % TENS
    if tens in (70, 90):  # counted on from sixty and eighty
        tens -= TENS
    units = number - tens
    said = [one] if units == 1 else [str(units)]
    return [str(tens), "et", *said] if units in (1, 11) and tens != 80 else [str(tens), *said]


def _french_date(year: int, month: int, day: int) -> list[list[str]]:
    days = ["h-1"] if day == 1 else _french(day)
    return [[_weekday(year, month, day)], [*days, _month(month)], _french(year)]


def _french_time(hour: int, minute: int) -> list[list[str]]:
    feminine = "1F"  # in no French recordings yet: times that need it are left to other voices
    return [[*_french(hour, feminine), "oclock"], _french(minute, feminine) if minute else []]


def _italian(number: int) -> list[str]:
    thousands, rest = divmod(number, 1000)
    said = [str(thousands), "thousands"] if thousands > 1 else ["thousand"] * thousands
    hundreds, rest = divmod(rest, HUNDREDS)
    said += [str(hundreds), "hundred"] if hundreds > 1 else ["hundred"] * hundreds
    if rest > 20 and rest % TENS not in (0, 1, 8):  # "ventuno" and "ventotto" are one word, and one recording
        return [*said, str(rest - rest % TENS), str(rest % TENS)]
    return [*said, str(rest)] if rest or not said else said


def _italian_date(year: int, month: int, day: int) -> list[list[str]]:
    days = ["h-1"] if day == 1 else _italian(day)
    century = year - year % HUNDREDS
    said = [f"ore-{century}", *(_italian(year % HUNDREDS) if year % HUNDREDS else [])]
    return [[_weekday(year, month, day)], [*days, _month(month)], said]


def _italian_time(hour: int, minute: int) -> list[list[str]]:
    hours = ["ore-una"] if hour == 1 else _italian(hour)
    return [["hours", *hours], ["e", *_italian(minute)] if minute else []]


_SAYS: Mapping[str, Mapping[str, Callable[..., list[list[str]]]]] = {
    "number": {
        "en": lambda number: [_english(number)],
        "es": lambda number: [_spanish(number)],
        "fr": lambda number: [_french(number)],
        "it": lambda number: [_italian(number)],
    },
    "date": {"en": _english_date, "es": _spanish_date, "fr": _french_date, "it": _italian_date},
    "time": {"en": _english_time, "es": _spanish_time, "fr": _french_time, "it": _italian_time},
}
LANGUAGES = tuple(_SAYS["number"])
"""Languages that can be composed."""
