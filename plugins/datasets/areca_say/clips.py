"""List the recordings that together speak a value, with the words of `areca_say.wording`."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping

from areca_say.values import Value
from areca_say.wording import english_year, half_day

Groups = tuple[tuple[str, ...], ...]
"""Keys of recordings below ``digits/``, in order; the voice pauses between groups."""

HUNDREDS, TENS = 100, 10


def list_clips(value: Value, language: str) -> Groups:
    """Return the keys of the recordings that speak `value`. A voice that lacks one of them cannot say the value."""
    groups = _RULES[value.kind][language](*value.parts)
    return tuple(tuple(group) for group in groups if group)


def _weekday(year: int, month: int, day: int) -> str:
    return f"day-{datetime.date(year, month, day).isoweekday() % 7}"


def _month(month: int) -> str:
    return f"mon-{month - 1}"


def _english(number: int) -> list[str]:
    thousands, rest = divmod(number, 1000)
    hundreds, rest = divmod(rest, HUNDREDS)
    keys = [str(thousands), "thousand"] if thousands else []
    keys += [str(hundreds), "hundred"] if hundreds else []
    if rest > 20 and rest % TENS:
        return [*keys, str(rest - rest % TENS), str(rest % TENS)]
    return [*keys, str(rest)] if rest or not keys else keys


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
    keys = _english(year) if halves is None else [*_english(halves[0]), *_after_hundred(halves[1])]
    return [[_weekday(year, month, day)], [_month(month), *_english_ordinal(day)], keys]


def _english_time(hour: int, minute: int) -> list[list[str]]:
    shown, half = half_day(hour)
    return [[str(shown)], _after_hundred(minute) if minute else [], [f"{half}-m"]]


def _spanish(number: int) -> list[str]:
    thousands, rest = divmod(number, 1000)
    keys = [str(thousands), "thousand"] if thousands > 1 else ["thousand"] * thousands
    hundreds, rest = divmod(rest, HUNDREDS)
    if hundreds == 1:
        keys.append("100-and" if rest else "hundred")
    elif hundreds:
        keys.append(str(hundreds * HUNDREDS))
    if rest > 30 and rest % TENS:
        return [*keys, str(rest - rest % TENS), "and", str(rest % TENS)]
    return [*keys, str(rest)] if rest or not keys else keys


def _spanish_date(year: int, month: int, day: int) -> list[list[str]]:
    days = ["h-1"] if day == 1 else _spanish(day)
    return [[_weekday(year, month, day)], [*days, "es-de", _month(month)], ["es-de", *_spanish(year)]]


def _spanish_time(hour: int, minute: int) -> list[list[str]]:
    shown, half = half_day(hour)
    minutes = (["0"] if minute < TENS else []) + _spanish(minute) if minute else []
    return [["1F" if shown == 1 else str(shown)], minutes, [f"{half}-m"]]


def _french(number: int, one: str = "1") -> list[str]:
    """Return the keys of a French number; `one` is the key of "un" or "une" at its end."""
    thousands, rest = divmod(number, 1000)
    keys = [str(thousands), "thousand"] if thousands > 1 else ["thousand"] * thousands
    hundreds, rest = divmod(rest, HUNDREDS)
    keys += [str(hundreds), "hundred"] if hundreds > 1 else ["hundred"] * hundreds
    return keys + _french_tens(rest, one) if rest or not keys else keys


def _french_tens(number: int, one: str) -> list[str]:
    if number == 1:
        return [one]
    if number <= 20 or number % TENS == 0:
        return [str(number)]
    tens = number - number % TENS
    if tens in (70, 90):  # soixante-dix, quatre-vingt-dix
        tens -= TENS
    units = number - tens
    keys = [one] if units == 1 else [str(units)]
    return [str(tens), "et", *keys] if units in (1, 11) and tens != 80 else [str(tens), *keys]


def _french_date(year: int, month: int, day: int) -> list[list[str]]:
    days = ["h-1"] if day == 1 else _french(day)
    return [[_weekday(year, month, day)], [*days, _month(month)], _french(year)]


def _french_time(hour: int, minute: int) -> list[list[str]]:
    feminine = "1F"  # no voice has this recording yet, so human French skips the times that need it
    return [[*_french(hour, feminine), "oclock"], _french(minute, feminine) if minute else []]


def _italian(number: int) -> list[str]:
    thousands, rest = divmod(number, 1000)
    keys = [str(thousands), "thousands"] if thousands > 1 else ["thousand"] * thousands
    hundreds, rest = divmod(rest, HUNDREDS)
    keys += [str(hundreds), "hundred"] if hundreds > 1 else ["hundred"] * hundreds
    if rest > 20 and rest % TENS not in (0, 1, 8):  # "ventuno" and "ventotto" are one word, and one recording
        return [*keys, str(rest - rest % TENS), str(rest % TENS)]
    return [*keys, str(rest)] if rest or not keys else keys


def _italian_date(year: int, month: int, day: int) -> list[list[str]]:
    days = ["h-1"] if day == 1 else _italian(day)
    century = year - year % HUNDREDS
    keys = [f"ore-{century}", *(_italian(year % HUNDREDS) if year % HUNDREDS else [])]
    return [[_weekday(year, month, day)], [*days, _month(month)], keys]


def _italian_time(hour: int, minute: int) -> list[list[str]]:
    hours = ["ore-una"] if hour == 1 else _italian(hour)
    return [["hours", *hours], ["e", *_italian(minute)] if minute else []]


_RULES: Mapping[str, Mapping[str, Callable[..., list[list[str]]]]] = {
    "number": {
        "en": lambda number: [_english(number)],
        "es": lambda number: [_spanish(number)],
        "fr": lambda number: [_french(number)],
        "it": lambda number: [_italian(number)],
    },
    "date": {"en": _english_date, "es": _spanish_date, "fr": _french_date, "it": _italian_date},
    "time": {"en": _english_time, "es": _spanish_time, "fr": _french_time, "it": _italian_time},
}
LANGUAGES = tuple(_RULES["number"])
"""Languages in which recordings can be composed."""
