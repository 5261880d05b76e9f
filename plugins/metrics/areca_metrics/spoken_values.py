"""Numbers, dates and times in one wording: "2:35 pm", "two thirty-five p.m." and "14:35" are the same answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from areca.errors import InvalidConfig
from areca_metrics.spoken_figures import COLON, ORDINAL, split_figures
from areca_metrics.spoken_lexicon import DAYS, LANGUAGES, LARGEST_NUMBER, Lexicon, lexicon, say

_LONGEST = 12
"""Most words in a number: "nine thousand nine hundred ninety nine" has six, and a hesitant writer doubles them."""


@dataclass(frozen=True, slots=True)
class _Item:
    kind: str
    value: int
    word: str


Match = tuple[str, int]
"""Canonical words, and the number of items that they replace."""


def read_values(text: str, language: str) -> str:
    """Return `text` in lowercase words without accents, punctuation or fillers, with each value in one wording.

    Numbers up to 9,999 get the wording of num2words. Fractions are read digit by digit, dates as month, day, year, and
    times by the language's usual clock. A time of the 12-hour clock without "a m" or "p m" ("two thirty five") differs
    from both times of the day.

    Raises:
        InvalidConfig: there is no lexicon for the language.
    """
    if language not in LANGUAGES:
        raise InvalidConfig(
            f"normaliser 'spoken-values' reads {', '.join(LANGUAGES)}, not {language!r}; use the normaliser 'basic'"
        )
    items = _items(text, language)
    wordings: list[str] = []
    i = 0
    while i < len(items):
        # The last rule matches any item.
        for rule in _RULES:
            if match := rule(items, i, language):
                wordings.append(match[0])
                i += match[1]
                break
    return " ".join(wording for wording in wordings if wording)


def _items(text: str, code: str) -> list[_Item]:
    """Split text into numbers, ordinals, months, other parts of values, and plain words, without fillers."""
    table = lexicon(code)
    words = [word for word in split_figures(text, code) if word not in table.language.joins]
    items: list[_Item] = []
    i = 0
    while i < len(words):
        length, item = _number(words, i, table) or (1, _other(words[i], table))
        items.append(item)
        i += length
    return [item for item in items if item.word not in table.language.fillers]


def _number(words: list[str], i: int, table: Lexicon) -> tuple[int, _Item] | None:
    """Read the longest number or ordinal at position i; return the number of words read, and the item."""
    word = words[i]
    digits = word.removesuffix(ORDINAL)
    if digits.isdecimal() and len(digits) <= len(str(LARGEST_NUMBER)):
        return 1, _Item("number" if digits == word else "ordinal", int(digits), word)
    for length in range(min(_LONGEST, len(words) - i), 0, -1):
        key = table.key("".join(words[i : i + length]))
        for kind, values in (("number", table.numbers), ("ordinal", table.ordinals)):
            if key in values:
                return length, _Item(kind, values[key], key)
    return None


def _other(word: str, table: Lexicon) -> _Item:
    """Return the item of a word that is not a number."""
    if word in table.months:
        return _Item("month", table.months[word], word)
    if word in ("am", "pm"):
        return _Item("half", 12 * (word == "pm"), word)
    if word == COLON or word in table.language.clock:
        return _Item("clock", 0, word)
    if word in table.language.point:
        return _Item("point", 0, word)
    if word in table.language.zero:
        return _Item("zero", 0, word)
    return _Item("word", 0, word)


def _take(items: Sequence[_Item], i: int, kinds: tuple[str, ...], largest: int) -> int | None:
    """Return the value of item i if it is of one of `kinds` and at most `largest`."""
    if i < len(items) and items[i].kind in kinds and items[i].value <= largest:
        return items[i].value
    return None


def _date(items: Sequence[_Item], i: int, code: str) -> Match | None:
    """Read a month, with a day before or after it, and with a year."""
    day_first = _take(items, i, ("number", "ordinal"), DAYS) is not None
    month = i + day_first
    if not _is(items, month, "month"):
        return None
    words, end = items[month].word, month + 1
    day = items[i].value if day_first else _take(items, end, ("number", "ordinal"), DAYS)
    end += day is not None and not day_first
    if day is not None:
        words += f" {say(day, code)}"
    year, used = _year(items, end)
    return (f"{words} {say(year, code, 'year')}" if used else words), end + used - i


def _year(items: Sequence[_Item], i: int) -> tuple[int, int]:
    """Read a year, as one number or as two ("nineteen eighty four"); return it and the number of items read."""
    century = _take(items, i, ("number",), LARGEST_NUMBER)
    if century is None or century >= 1000:
        return (century or 0), int(century is not None)
    rest, used = _two_digits(items, i + 1, 99)
    return (100 * century + rest, 1 + used) if used and century >= 10 else (0, 0)


def _two_digits(items: Sequence[_Item], i: int, largest: int) -> tuple[int, int]:
    """Read "thirty five", "oh five" or "zero five"; return the value and the number of items read."""
    first = _take(items, i, ("number", "zero"), largest)
    if first is None or first >= 10:
        return (first or 0), int(first is not None)
    unit = _take(items, i + 1, ("number",), 9)
    return (unit, 2) if first == 0 and unit is not None else (0, 0)


def _time(items: Sequence[_Item], i: int, code: str) -> Match | None:
    """Read a time: "14:35 Uhr", "two thirty five p m", "ore due", "235 pm"."""
    prefix = _is(items, i, "clock")
    hour = _take(items, i + prefix, ("number",), 1259)
    if hour is None:
        return None
    end = i + prefix + 1
    if hour >= 100:
        # Hour and minute in one number.
        hour, minute = divmod(hour, 100)
        valid = minute <= 59 and _is(items, end, "half")  # "235 pm"
    else:
        middle = _is(items, end, "clock")
        minute, used = _minutes(items, end + middle, prefix or middle)
        end += middle + used
        valid = hour <= 24 and bool(prefix or middle or used or _is(items, end, "half"))
        end += bool(used) and _is(items, end, "clock")  # "14:35 Uhr"
    if not valid:
        return None
    half = items[end] if _is(items, end, "half") else None
    return _time_words(hour, minute, half, code), end + (half is not None) - i


def _minutes(items: Sequence[_Item], i: int, clock: bool) -> tuple[int, int]:
    """Read minutes; after a clock word, also one digit. Return them and the number of items read."""
    minute, used = _two_digits(items, i, 59)
    if used or not clock:
        return minute, used
    single = _take(items, i, ("number",), 9)
    return (single or 0), int(single is not None)


def _is(items: Sequence[_Item], i: int, kind: str) -> bool:
    return i < len(items) and items[i].kind == kind


def _time_words(hour: int, minute: int, half: _Item | None, code: str) -> str:
    """Return the wording of a time; on the 12-hour clock only if the half of the day is known."""
    language = LANGUAGES[code]
    if half is not None and hour <= 12:
        hour = hour % 12 + half.value
    zero = language.zero[0] if language.zero and 0 < minute < 10 else ""
    minutes = f"{zero} {say(minute, code)}".strip() if minute else ""
    known = half is not None or hour % 24 == 0 or hour > 12
    if not language.halves or not known:
        middle = language.clock[0] if not language.halves or not minute else ""
        return " ".join(f"{say(hour, code)} {middle} {minutes}".split())
    shown = f"{say(hour % 12 or 12, code)} {minutes} {'p' if hour % 24 >= 12 else 'a'} m"
    return " ".join(shown.split())


def _decimal(items: Sequence[_Item], i: int, code: str) -> Match | None:
    """Read a whole number, a decimal mark, and digits or one number."""
    whole = _take(items, i, ("number",), LARGEST_NUMBER)
    if whole is None or not _is(items, i + 1, "point"):
        return None
    digits, end = "", i + 2
    while (digit := _take(items, end, ("number", "zero"), 9)) is not None:
        digits, end = f"{digits}{digit}", end + 1
    if not digits and (fraction := _take(items, end, ("number",), LARGEST_NUMBER)) is not None:
        digits, end = str(fraction), end + 1  # "trois virgule quatorze"
    if not digits:
        return None
    return " ".join([say(whole, code), LANGUAGES[code].point[0], *(say(int(d), code) for d in digits)]), end - i


def _plain(items: Sequence[_Item], i: int, code: str) -> Match:
    """Read any single item."""
    item = items[i]
    if item.kind == "number":
        return say(item.value, code), 1
    if item.kind == "ordinal":
        return say(item.value, code, "ordinal"), 1
    return ("" if item.word == COLON else item.word), 1


_RULES: tuple[Callable[[Sequence[_Item], int, str], Match | None], ...] = (_date, _decimal, _time, _plain)
