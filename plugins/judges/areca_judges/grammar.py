"""A JSGF grammar of spoken English values: numbers, dates and times, in the wording of the dataset `say`."""

from __future__ import annotations

from collections.abc import Mapping

_UNITS = "one | two | three | four | five | six | seven | eight | nine"
_TEENS = "ten | eleven | twelve | thirteen | fourteen | fifteen | sixteen | seventeen | eighteen | nineteen"
RULES: Mapping[str, str] = {
    "unit": _UNITS,
    "pair": f"{_TEENS} | (twenty | thirty | forty | fifty | sixty | seventy | eighty | ninety) [<unit>]",
    "below_hundred": "<unit> | <pair>",
    "below_thousand": "<below_hundred> | <unit> hundred [<below_hundred>]",
    "number": "zero | <below_thousand> | <unit> thousand [<below_thousand>]",
    "weekday": "monday | tuesday | wednesday | thursday | friday | saturday | sunday",
    "month": (
        "january | february | march | april | may | june | july | august | september | october | november | december"
    ),
    "unit_ordinal": "first | second | third | fourth | fifth | sixth | seventh | eighth | ninth",
    "teen_ordinal": (
        "tenth | eleventh | twelfth | thirteenth | fourteenth | fifteenth | sixteenth | seventeenth | eighteenth | "
        "nineteenth"
    ),
    "day": "<unit_ordinal> | <teen_ordinal> | twentieth | twenty <unit_ordinal> | thirtieth | thirty first",
    "year": "nineteen (hundred | <pair> | oh <unit>) | two thousand [<unit>] | twenty <pair>",
    "date": "<weekday> <month> <day> <year>",
    "hour": f"{_UNITS} | ten | eleven | twelve",
    "minute": f"oh <unit> | {_TEENS} | (twenty | thirty | forty | fifty) [<unit>]",
    "time": "<hour> [<minute>] (a.m. | p.m.)",
    "value": "<number> | <date> | <time>",
}
"""Rule bodies by name. Numbers are 0 to 9,999, years 1900 to 2099, and times use the 12-hour clock."""


def build_values_grammar() -> str:
    """Return the grammar as a JSGF document; its public rule is ``value``."""
    rules = "\n".join(f"{'public ' if name == 'value' else ''}<{name}> = {body};" for name, body in RULES.items())
    return f"#JSGF V1.0;\ngrammar values;\n{rules}\n"
