"""Clean the published transcripts, so that they hold only the spoken words."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SIGNAL = re.compile(r"\s*[\[(<].*[\])>]\s*")
_REMARK = re.compile(r"\s*[\[(][^()\[\]]*[\])]\s*$")
_UNCLEAR = re.compile(r"[\[\]()<>*#]")
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
"""The words of recordings whose transcript is wrong, by language and key."""
_ADDITIONS: Mapping[str, Mapping[str, str]] = {
    "es": {"digits/10": "diez", "digits/1F": "una", "digits/1M": "un", "digits/20-and": "veinti"},
    "fr": {"digits/et": "et"},
}
"""The words of recordings without a transcript, or whose transcript has another key."""


def clean_transcripts(language: str, transcripts: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each recording with a plain transcript.

    Remarks at the end, trailing dots and quotation marks are removed. Signals (``[tone]``, ``<beep>``) are left out,
    and so are transcripts with a remark or a sign in the middle, because its pronunciation is unclear.

    Args:
        language: ISO 639-1 code.
        transcripts: the published texts, by key.
    """
    corrected = {**transcripts, **_ADDITIONS.get(language, {})}
    corrected |= {key: text for (code, key), text in _CORRECTIONS.items() if code == language}
    texts = {key: _clean(text) for key, text in corrected.items()}
    return {key: text for key, text in texts.items() if text}


def _clean(text: str) -> str:
    """Return the spoken words of a transcript; ``""`` if they are not clear."""
    if _SIGNAL.fullmatch(text):
        return ""
    text = _REMARK.sub("", _NEXT_KEY.split(_OWN_KEY.sub("", text))[0])
    if _UNCLEAR.search(text):
        return ""
    for mark in _MARKS:
        text = text.replace(mark, " ")
    return " ".join(text.split()).rstrip(": ")
