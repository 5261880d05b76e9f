"""JSGF of spoken English values: numbers, dates and times, worded as `say` words them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_UNITS = "one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINAL_UNITS = "first second third fourth fifth sixth seventh eighth ninth".split()
_ORDINAL_TEENS = (
    "tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth".split()
)
_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_MONTHS = "january february march april may june july august september october november december".split()


def _any(words: Iterable[str]) -> str:
    return " | ".join(words)


RULES: Mapping[str, str] = {
    "unit": _any(_UNITS),
    "pair": f"{_any(_TEENS)} | ({_any(_TENS)}) [<unit>]",
    "below_hundred": "<unit> | <pair>",
    "below_thousand": "<below_hundred> | <unit> hundred [<below_hundred>]",
    "number": "zero | <below_thousand> | <unit> thousand [<below_thousand>]",
    "after_hundred": "<pair> | oh <unit>",
    "month_day": f"({_any(_MONTHS)}) <ordinal>",
    "ordinal": (
        f"{_any(_ORDINAL_UNITS)} | {_any(_ORDINAL_TEENS)} | twentieth | twenty ({_any(_ORDINAL_UNITS)}) | "
        "thirtieth | thirty first"
    ),
    "year": "nineteen (hundred | <after_hundred>) | two thousand [<unit>] | twenty <pair>",
    "date": f"({_any(_WEEKDAYS)}) <month_day> <year>",
    "time": f"({_any([*_UNITS, *_TEENS[:3]])}) [<after_hundred>] (a.m. | p.m.)",
    "value": "<number> | <date> | <time>",
}
"""Rule bodies by name. Numbers go from 0 to 9,999, years from 1900 to 2099, times by the 12-hour clock."""


def values_grammar() -> str:
    """Return the grammar as a JSGF document, with ``value`` its public rule."""
    rules = "\n".join(f"{'public ' if name == 'value' else ''}<{name}> = {body};" for name, body in RULES.items())
    return f"#JSGF V1.0;\ngrammar values;\n{rules}\n"
