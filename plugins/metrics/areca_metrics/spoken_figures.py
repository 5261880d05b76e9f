"""Split figures as people write them (1 234, 3.5, 7th, 14:35, -2, 5 %) into digits, words and marks, by language."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from areca_metrics.spoken_lexicon import LANGUAGES, fold

COLON = "\ue000"
"""Separates the hours and the minutes of a time; other colons are removed."""
ORDINAL = "º"
"""Ends the digits of an ordinal."""
_SPACES = " \u00a0\u2007\u2008\u2009\u202f"
_APOSTROPHES = "'’ʼ"
_UNITS = "€$£¥₹₩₽°"
"""Signs to keep: "5 €" and "5" are different answers."""
_NARROW = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
"""Maps the full-width forms of ASCII characters to ASCII."""
_Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def split_figures(text: str, code: str) -> list[str]:
    """Return the words of `text` in lower case without accents or punctuation, with figures in one form.

    Args:
        text: any text.
        code: one of `LANGUAGES`: "1.234" is a fraction in English and a thousand in German.
    """
    # Thousands come first, because folding turns every kind of space into a plain one.
    text = _thousands(code).sub(lambda found: re.sub(r"\D", "", found[0]), text.translate(_NARROW))
    text = fold(text)
    for pattern, replacement in _rules(code):
        text = pattern.sub(replacement, text)
    return text.split()


@functools.cache
def _thousands(code: str) -> re.Pattern[str]:
    """Return a pattern of numbers whose thousands are separated: by the other mark, a space or an apostrophe."""
    mark = "," if LANGUAGES[code].decimal == "." else "."
    between = f"[{re.escape(mark)}{_SPACES}{_APOSTROPHES}]"
    return re.compile(rf"(?<![\w.,:{_APOSTROPHES}])[1-9]\d{{0,2}}({between})\d{{3}}(?:\1\d{{3}})*(?!\d|\1\d)")


@functools.cache
def _rules(code: str) -> tuple[_Rule, ...]:
    """Return patterns and replacements for folded text, in order: times, fractions, signs, ordinals, punctuation."""
    language = LANGUAGES[code]
    after = "|".join(("am", "pm", "h", *language.clock))
    time = r"([01]?\d|2[0-4])\.([0-5]\d)\b"
    rules: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
        (r"(?<![^\W\d])([ap])\.?\s?m\b\.?", r" \1m "),
        (r"\bo\W?\s?clock\b", "oclock"),
        (r"\b(\d{1,2})\s?[:h]\s?(\d{2})\b", rf"\1 {COLON} \2"),
        (rf"\b{time}(?=\s*(?:{after})\b)", rf"\1 {COLON} \2"),
        (rf"\b({'|'.join(language.before)}) {time}(?!\.\d)", rf"\1 \2 {COLON} \3"),
        *((pattern, _fraction(language.point[0])) for pattern in _fractions(language.decimal)),
        (r"(?<!\w)[-−](?=\d)", f" {language.minus} "),
        (r"(?<=\d)\s?%", f" {language.percent} "),
        (rf"(?<!\w)(\d+)(?:{language.suffix})\b", rf"\1{ORDINAL}"),
        (rf"(?<=\d)(?=[^\W\d{ORDINAL}])", " "),
        (f"([{_UNITS}])", r" \1 "),
        (rf"[^\w{_UNITS}{COLON}]|_", " "),
    )
    return tuple((re.compile(pattern), replacement) for pattern, replacement in rules)


def _fractions(decimal: str) -> tuple[str, ...]:
    """Return patterns of a whole number and its fraction. They do not match dates (7.3.1984, or 7.3. in German)."""
    regular = rf"(?<![\w.,:])(\d*){re.escape(decimal)}(\d+)(?![.,]?\d)"
    return (regular,) if decimal == "." else (regular, r"(?<![\w.,:])(\d+)\.(\d+)(?![.,\d])")


def _fraction(point: str) -> Callable[[re.Match[str]], str]:
    return lambda found: f"{found[1] or 0} {point} {' '.join(found[2])}"
