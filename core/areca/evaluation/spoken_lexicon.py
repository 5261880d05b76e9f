"""The words for numbers, months, weekdays and hours in five languages: a table each, made by num2words and babel."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LARGEST_NUMBER = 9_999
DAYS = 31


@dataclass(frozen=True, slots=True)
class Language:
    """What a language adds to what num2words and babel know.

    Args:
        joins: words inside numbers that may be left out.
        fillers: words outside numbers that carry no value.
        clock: words for hours; the first is the one written.
        halves: whether hours are said by the 12-hour clock, with "a m" and "p m".
        zero: what is said before one-digit minutes, the first being the one written; () where nothing is.
        respell: patterns and replacements that bring spellings of one number together.
    """

    joins: frozenset[str]
    fillers: frozenset[str]
    clock: tuple[str, ...]
    halves: bool = False
    zero: tuple[str, ...] = ()
    respell: tuple[tuple[str, str], ...] = ()


LANGUAGES: Mapping[str, Language] = {
    "en": Language(
        frozenset({"and"}),
        frozenset({"the", "of", "on", "at"}),
        ("oclock",),
        halves=True,
        zero=("oh", "o"),
        respell=(("^a(?=hundred|thousand)", "one"),),
    ),
    "es": Language(
        frozenset({"y"}),
        frozenset({"el", "la", "las", "los", "de", "del", "a"}),
        ("horas", "hora"),
        halves=True,
        zero=("cero",),
        respell=(("^una?$", "uno"), ("un$", "uno")),
    ),
    "fr": Language(
        frozenset({"et"}),
        frozenset({"le", "la", "a", "du"}),
        ("heures", "heure", "h"),
        respell=(("une$", "un"), ("cents", "cent")),
    ),
    "de": Language(
        frozenset(),
        frozenset({"der", "den", "dem", "am", "um"}),
        ("uhr",),
        respell=(("eins?(?=hundert|tausend)", ""), ("^eine?$", "eins")),
    ),
    "it": Language(
        frozenset(),
        frozenset({"il", "lo", "le", "la", "e", "di", "del", "alle"}),
        ("ore", "ora"),
        respell=(("oo", "o"), ("dicott", "diciott"), ("^una?$", "uno")),
    ),
}
"""Languages that can be read, by ISO 639-1 code."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Values by how they are said: words without accents, written together, respelled."""

    language: Language
    numbers: Mapping[str, int]
    ordinals: Mapping[str, int]
    months: Mapping[str, int]
    weekdays: Mapping[str, int]

    def key(self, words: str) -> str:
        """Return the form of `words` (folded, written together) that the tables know."""
        for pattern, replacement in self.language.respell:
            words = re.sub(pattern, replacement, words)
        return words


def fold(text: str) -> str:
    """Return `text` in lower case without accents; "ß" is "ss"."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


@functools.lru_cache(maxsize=50_000)
def say(number: int, code: str, form: str = "cardinal") -> str:
    """Return `number` in words without accents or joins; `form` is cardinal, ordinal or year."""
    from num2words import num2words

    words = re.findall(r"\w+", fold(str(num2words(number, lang=code, to=form))))
    return " ".join(word for word in words if word not in LANGUAGES[code].joins)


@functools.cache
def lexicon(code: str) -> Lexicon:
    """Return the tables of the language `code`; they are made once, in about a second."""
    from babel.dates import get_day_names, get_month_names

    empty = Lexicon(LANGUAGES[code], {}, {}, {}, {})
    numbers = {empty.key(said): n for n, said in _spoken_numbers(code)}
    ordinals = {empty.key(said): n for n, said in _spoken_ordinals(code)}
    months = {fold(name): number for number, name in get_month_names("wide", locale=code).items()}
    weekdays = {fold(name): number for number, name in get_day_names("wide", locale=code).items()}
    return Lexicon(LANGUAGES[code], numbers, ordinals, months, weekdays)


def _spoken_numbers(code: str) -> Iterator[tuple[int, str]]:
    for n in range(LARGEST_NUMBER + 1):
        yield n, _together(say(n, code))
    if code == "en":  # "nineteen hundred eighty four"
        for n in range(1100, LARGEST_NUMBER + 1):
            rest = say(n % 100, code) if n % 100 else ""
            yield n, _together(f"{say(n // 100, code)} hundred {rest}")
    if code == "de":
        for n in range(1100, 2000):
            yield n, _together(say(n, code, "year"))


def _spoken_ordinals(code: str) -> Iterator[tuple[int, str]]:
    for n in range(1, DAYS + 1):
        said = _together(say(n, code, "ordinal"))
        yield n, said
        if code == "de":
            yield from ((n, said + ending) for ending in "nrs")


def _together(words: str) -> str:
    return words.replace(" ", "")
