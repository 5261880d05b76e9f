"""From a transcript as it was delivered to what the recording says."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SIGNAL = re.compile(r"\s*[\[(<].*[\])>]\s*")
_REMARK = re.compile(r"\s*[\[(][^()\[\]]*[\])]\s*$")
_UNSURE = re.compile(r"[\[\]()<>*#]")
_OWN_KEY = re.compile(r"^[a-z]+(?:-[a-z]+)+: ")
_NEXT_KEY = re.compile(r"\s[a-z]+(?:-[a-z]+)+: ")
_MARKS = ('"', "“", "”", "«", "»", "...", "…", " / ")
_CORRECTIONS: Mapping[tuple[str, str], str] = {
    ("en", "digits/h-40"): "fortieth",
    ("es", "digits/hundred"): "cien",
    ("fr", "digits/h-80"): "quatre-vingtième",
    ("it", "digits/hundred"): "cento",
    ("it", "digits/thousands"): "mila",
}
"""What was heard where the transcript says something else."""
_ADDITIONS: Mapping[str, Mapping[str, str]] = {
    "es": {"digits/10": "diez", "digits/1F": "una", "digits/1M": "un", "digits/20-and": "veinti"},
    "fr": {"digits/et": "et"},
}
"""What was heard where the transcripts leave a recording out, or spell its name otherwise."""


def cleaned(language: str, transcripts: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each recording that has a plain one.

    Signals (``[tone]``, ``<beep>``) are left out, and so are prompts with a remark or a sign inside of which one cannot
    tell how it is spoken; remarks at the end, dots that mean "goes on" and quotation marks are cut off.

    Args:
        language: ISO 639-1 code.
        transcripts: text by key, as delivered.
    """
    corrected = {**transcripts, **_ADDITIONS.get(language, {})}
    corrected |= {key: text for (of, key), text in _CORRECTIONS.items() if of == language}
    texts = {key: _clean(text) for key, text in corrected.items()}
    return {key: text for key, text in texts.items() if text}


def _clean(text: str) -> str:
    if _SIGNAL.fullmatch(text):
        return ""
    text = _REMARK.sub("", _NEXT_KEY.split(_OWN_KEY.sub("", text))[0])
    if _UNSURE.search(text):
        return ""
    for mark in _MARKS:
        text = text.replace(mark, " ")
    return " ".join(text.split()).rstrip(": ")
