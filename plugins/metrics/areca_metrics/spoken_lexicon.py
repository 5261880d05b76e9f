"""The words for numbers, months, weekdays and hours in five languages, from num2words and babel."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LARGEST_NUMBER = 9_999
LARGEST_ORDINAL = 999
DAYS = 31
_SHORT_TENS = {7: "septante", 8: "huitante", 9: "nonante"}
_ENDINGS = {
    "de": (("$", "nrsm"),),
    "es": (("o$", ("a", "os", "as")),),
    "fr": (("premier$", ("premiere", "premiers", "premieres")), ("eme$", ("emes",))),
    "it": (("o$", "aie"),),
}
"""Endings of ordinals in other genders, numbers and cases, by language."""


@dataclass(frozen=True, slots=True)
class Language:
    """The properties of a language that num2words and babel lack.

    Args:
        joins: words inside numbers that are optional.
        fillers: words outside numbers that carry no value.
        clock: words between hours and minutes; the result uses the first.
        halves: whether the result uses the 12-hour clock, with "a m" and "p m".
        zero: words before one-digit minutes; the result uses the first. Empty if there are none.
        respell: patterns and replacements that unify the spellings of a number.
        decimal: the mark before a fraction in digits; of "," and "." the other one separates thousands.
        point: words for that mark; the result uses the first.
        suffix: pattern of the letters, without accents, that make digits an ordinal.
        before: words before a time with a full stop, such as "at 2.35".
        minus, percent: words for the signs.
    """

    joins: frozenset[str]
    fillers: frozenset[str]
    clock: tuple[str, ...]
    halves: bool = False
    zero: tuple[str, ...] = ()
    respell: tuple[tuple[str, str], ...] = ()
    decimal: str = ","
    point: tuple[str, ...] = ()
    suffix: str = ""
    before: tuple[str, ...] = ()
    minus: str = "minus"
    percent: str = "percent"


LANGUAGES: Mapping[str, Language] = {
    "en": Language(
        frozenset({"and"}),
        frozenset({"the", "of", "on", "at"}),
        ("oclock",),
        halves=True,
        zero=("oh", "o"),
        respell=(("^a(?=hundred|thousand)", "one"),),
        decimal=".",
        point=("point",),
        suffix="st|nd|rd|th",
        before=("at",),
    ),
    "es": Language(
        frozenset({"y"}),
        frozenset({"el", "la", "las", "los", "de", "del", "a"}),
        ("horas", "hora"),
        halves=True,
        zero=("cero",),
        respell=(("^una?$", "uno"), ("un$", "uno"), ("cientas", "cientos")),
        point=("coma", "punto"),
        suffix=r"\.?(?:[oa]s?|er[oa]?|d[oa]|t[oa]|m[oa]|v[oa]|n[oa])",
        before=("la", "las"),
        minus="menos",
        percent="por ciento",
    ),
    "fr": Language(
        frozenset({"et"}),
        frozenset({"le", "la", "a", "du"}),
        ("heures", "heure", "h"),
        respell=(("une$", "un"), ("cents", "cent"), ("vingts", "vingt"), ("octante", "huitante")),
        point=("virgule", "point"),
        suffix="ers?|eres?|re|n?de?s?|i?emes?|es?",
        before=("a",),
        minus="moins",
        percent="pour cent",
    ),
    "de": Language(
        frozenset(),
        frozenset({"der", "den", "dem", "am", "um"}),
        ("uhr",),
        respell=(("eins?(?=hundert|tausend)", ""), ("^eine?$", "eins"), ("zwo(?!lf)", "zwei")),
        point=("komma", "punkt"),
        suffix="s?te[nrsm]?",
        before=("um", "ab", "bis"),
        percent="prozent",
    ),
    "it": Language(
        frozenset(),
        frozenset({"il", "lo", "le", "la", "e", "di", "del", "alle"}),
        ("ore", "ora"),
        respell=(("oo", "o"), ("dicott", "diciott"), ("^una?$", "uno")),
        point=("virgola", "punto"),
        suffix="[oa]",
        before=("alle", "ore"),
        minus="meno",
        percent="per cento",
    ),
}
"""The supported languages, by ISO 639-1 code."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Values by their words, which are without accents and spaces and have one spelling."""

    language: Language
    numbers: Mapping[str, int]
    ordinals: Mapping[str, int]
    months: Mapping[str, int]
    weekdays: Mapping[str, int]

    def key(self, words: str) -> str:
        """Return the form of `words` (folded and joined) that is a key of the tables."""
        for pattern, replacement in self.language.respell:
            words = re.sub(pattern, replacement, words)
        return words


def fold(text: str) -> str:
    """Return `text` in lower case without accents; "ß" becomes "ss". Figures such as "½" and "²" stay, as words."""
    spaced = "".join(f" {c} " if unicodedata.category(c) == "No" else unicodedata.normalize("NFKD", c) for c in text)
    return "".join(c for c in spaced.casefold() if not unicodedata.combining(c))


@functools.lru_cache(maxsize=50_000)
def say(number: int, code: str, form: str = "cardinal") -> str:
    """Return `number` in words without accents or joins; `form` is cardinal, ordinal or year."""
    from num2words import num2words

    words = re.findall(r"\w+", fold(str(num2words(number, lang=code, to=form))))
    return " ".join(word for word in words if word not in LANGUAGES[code].joins)


@functools.cache
def lexicon(code: str) -> Lexicon:
    """Return the tables of the language `code`. They are built once, in about a second."""
    from babel.dates import get_day_names, get_month_names

    empty = Lexicon(LANGUAGES[code], {}, {}, {}, {})
    numbers = {empty.key(words): n for n, words in _spoken_numbers(code)}
    ordinals = {empty.key(words): n for n, words in _spoken_ordinals(code)}
    months = {fold(name): number for number, name in get_month_names("wide", locale=code).items()}
    weekdays = {fold(name): number for number, name in get_day_names("wide", locale=code).items()}
    return Lexicon(LANGUAGES[code], numbers, ordinals, months, weekdays)


def _spoken_numbers(code: str) -> Iterator[tuple[int, str]]:
    for n in range(LARGEST_NUMBER + 1):
        yield n, _join(say(n, code))
    if code == "en":  # "nineteen hundred eighty four"
        for n in range(1100, LARGEST_NUMBER + 1):
            rest = say(n % 100, code) if n % 100 else ""
            yield n, _join(f"{say(n // 100, code)} hundred {rest}")
    if code == "de":
        for n in range(1100, 2000):
            yield n, _join(say(n, code, "year"))
    if code == "fr":  # Belgian and Swiss numbers
        for n in (n for n in range(LARGEST_NUMBER + 1) if n % 100 // 10 in _SHORT_TENS):
            hundreds, unit = (say(m, code) if m else "" for m in (n - n % 100, n % 10))
            yield n, _join(f"{hundreds} {_SHORT_TENS[n % 100 // 10]} {unit}")


def _spoken_ordinals(code: str) -> Iterator[tuple[int, str]]:
    for n in range(1, LARGEST_ORDINAL + 1):
        words = _join(say(n, code, "ordinal"))
        yield n, words
        for pattern, endings in _ENDINGS.get(code, ()):
            yield from ((n, re.sub(pattern, ending, words)) for ending in endings)
    if code == "fr":
        yield from ((2, words) for words in ("second", "seconde"))
    if code == "es":
        yield from ((n, say(n, code, "ordinal")[:-1]) for n in (1, 3))


def _join(words: str) -> str:
    """Return `words` without spaces."""
    return words.replace(" ", "")
