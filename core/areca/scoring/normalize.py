"""Text normalisers: how a reference and an answer are read before they are compared. Both are read the same way."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from areca.errors import InvalidConfig, suggest
from areca.scoring.spoken_values import read_values


@dataclass(frozen=True, slots=True)
class Normaliser:
    """A named reading of text. The version is raised when the same text is read otherwise than before.

    Args:
        name: what it is called.
        version: of the reading.
        read: maps a text and its language (ISO 639-1) to canonical words, joined by single spaces.
        summary: one line on what it does.
    """

    name: str
    version: int
    read: Callable[[str, str], str]
    summary: str

    @property
    def signature(self) -> str:
        """``name/version``, recorded with every result."""
        return f"{self.name}/{self.version}"

    def __call__(self, text: str, language: str) -> str:
        """Return the canonical words of `text`."""
        return self.read(text, language)


def read_basic(text: str, language: str) -> str:
    """Lowercase, drop punctuation and symbols (an apostrophe inside a word stays), keep accents and digits."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    kept = "".join(c if c == "'" or unicodedata.category(c)[0] not in "PS" else " " for c in text)
    return " ".join(word for word in (w.strip("'") for w in kept.split()) if word)


NORMALISERS: Mapping[str, Normaliser] = {
    n.name: n
    for n in (
        Normaliser("basic", 1, read_basic, "open text: lowercase words without punctuation"),
        Normaliser("spoken-values", 2, read_values, "numbers, dates and times read as values, written as words"),
    )
}


def find_normaliser(name: str) -> Normaliser:
    """Return the normaliser called `name`.

    Raises:
        InvalidConfig: there is none; the nearest is suggested.
    """
    if name not in NORMALISERS:
        known = ", ".join(NORMALISERS)
        raise InvalidConfig(f"no normaliser is called {name!r}{suggest(name, NORMALISERS)}\n  there are: {known}")
    return NORMALISERS[name]
