"""Spell out a value in each language, in plain lowercase words that are the same for every voice.

The telephone voices have a recording of every word of these wordings:

- English: numbers without "and"; "wednesday march seventh nineteen eighty four"; "two oh five p m".
- Spanish: times on the 12-hour clock, as in Mexico: "dos cero cinco p m".
- French: hours and minutes are feminine ("vingt et une heures trente et une").
- Italian: hundreds without elision ("centoottanta"); "ore quattordici e trentacinque".
- German: "mittwoch der siebte märz neunzehnhundertvierundachtzig"; "vierzehn uhr fünfunddreißig".
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Mapping

from babel.dates import get_day_names, get_month_names
from num2words import num2words

from areca_say.values import Value

_FIRST_HALVED_YEAR = 2010
"""First year of this century that English speaks in two halves: "twenty ten", but "two thousand nine"."""


def spell_out(value: Value, language: str) -> str:
    """Return the words of `value` in `language` (``en``, ``es``, ``fr``, ``de`` or ``it``)."""
    words = _RULES[value.kind][language](*value.parts)
    return " ".join(words.lower().replace("-", " ").replace(",", " ").split())


def half_day(hour: int) -> tuple[int, str]:
    """Return an hour of the 12-hour clock and ``"a"`` or ``"p"``: 14 is (2, "p")."""
    return hour % 12 or 12, "a" if hour < 12 else "p"


def english_year(year: int) -> tuple[int, int] | None:
    """Return the two numbers that English speaks for `year` (19 and 84); None if it speaks one number (2005)."""
    return None if 2000 <= year < _FIRST_HALVED_YEAR else divmod(year, 100)


@functools.lru_cache(maxsize=100_000)
def _number(number: int, language: str) -> str:
    words = str(num2words(number, lang=language))
    if language == "en":
        return words.replace(" and ", " ")
    if language == "it":
        # The recordings need "cento" and "otto" without elision, which Italian allows; num2words misspells 118.
        return words.replace("centott", "centoott").replace("dicott", "diciott")
    return words


def _date_words(year: int, month: int, day: int, language: str) -> tuple[str, str]:
    """Return the names of the weekday and of the month."""
    weekday = get_day_names("wide", locale=language)[datetime.date(year, month, day).weekday()]
    return weekday, get_month_names("wide", locale=language)[month]


def _english_date(year: int, month: int, day: int) -> str:
    weekday, month_name = _date_words(year, month, day, "en")
    halves = english_year(year)
    year_words = _number(year, "en") if halves is None else f"{_number(halves[0], 'en')} {_after_hundred(halves[1])}"
    return f"{weekday} {month_name} {num2words(day, lang='en', to='ordinal')} {year_words}"


def _after_hundred(number: int) -> str:
    if number == 0:
        return "hundred"
    return f"oh {_number(number, 'en')}" if number < 10 else _number(number, "en")


def _spanish_date(year: int, month: int, day: int) -> str:
    weekday, month_name = _date_words(year, month, day, "es")
    return f"{weekday} {'primero' if day == 1 else _number(day, 'es')} de {month_name} de {_number(year, 'es')}"


def _french_date(year: int, month: int, day: int) -> str:
    weekday, month_name = _date_words(year, month, day, "fr")
    return f"{weekday} {'premier' if day == 1 else _number(day, 'fr')} {month_name} {_number(year, 'fr')}"


def _italian_date(year: int, month: int, day: int) -> str:
    weekday, month_name = _date_words(year, month, day, "it")
    return f"{weekday} {'primo' if day == 1 else _number(day, 'it')} {month_name} {_number(year, 'it')}"


def _german_date(year: int, month: int, day: int) -> str:
    weekday, month_name = _date_words(year, month, day, "de")
    year_words = num2words(year, lang="de", to="year")
    return f"{weekday} der {num2words(day, lang='de', to='ordinal')} {month_name} {year_words}"


def _english_time(hour: int, minute: int) -> str:
    shown, half = half_day(hour)
    return f"{_number(shown, 'en')} {_after_hundred(minute) if minute else ''} {half} m"


def _spanish_time(hour: int, minute: int) -> str:
    shown, half = half_day(hour)
    hours = "una" if shown == 1 else _number(shown, "es")
    zero = "cero" if 0 < minute < 10 else ""
    return f"{hours} {zero} {_number(minute, 'es') if minute else ''} {half} m"


def _french_time(hour: int, minute: int) -> str:
    minutes = _feminine(_number(minute, "fr")) if minute else ""
    return f"{_feminine(_number(hour, 'fr'))} {'heures' if hour > 1 else 'heure'} {minutes}"


def _feminine(french: str) -> str:
    """Return a French number before a feminine noun: "vingt et une heures"."""
    return french + "e" if french == "un" or french.endswith(" un") else french


def _italian_time(hour: int, minute: int) -> str:
    minutes = f"e {_number(minute, 'it')}" if minute else ""
    return f"ore {'una' if hour == 1 else _number(hour, 'it')} {minutes}"


def _german_time(hour: int, minute: int) -> str:
    hours = "ein" if hour == 1 else _number(hour, "de")
    return f"{hours} uhr {_number(minute, 'de') if minute else ''}"


def _number_in(language: str) -> Callable[[int], str]:
    return lambda number: _number(number, language)


_RULES: Mapping[str, Mapping[str, Callable[..., str]]] = {
    "number": {language: _number_in(language) for language in ("en", "es", "fr", "de", "it")},
    "date": {"en": _english_date, "es": _spanish_date, "fr": _french_date, "de": _german_date, "it": _italian_date},
    "time": {"en": _english_time, "es": _spanish_time, "fr": _french_time, "de": _german_time, "it": _italian_time},
}
