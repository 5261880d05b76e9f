"""The normaliser `no-fillers`."""

from __future__ import annotations

import re

from areca.component import Configured

from areca_acme_lab import NoOptions

_FILLERS = {
    "de": {"äh", "ähm", "hm"},
    "en": {"um", "uh", "er", "hm"},
    "es": {"eh", "em", "este"},
    "fr": {"euh", "ben", "hm"},
}


class NoFillers(Configured[NoOptions]):
    """The target of the component `no-fillers`, and its instance."""

    def normalise(self, text: str, language: str) -> str:
        """Return the lowercase words of `text` without punctuation and fillers, joined by single spaces."""
        words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.casefold())
        return " ".join(word for word in words if word not in _FILLERS.get(language, ()))
