"""The normalisers `basic`, `spoken-values` and `whisper`."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable
from typing import Any

from areca.component import Configured


class Basic(Configured[Any]):
    """The normaliser of open text."""

    def normalise(self, text: str, language: str) -> str:
        """Return the lowercase words of `text`, without punctuation except apostrophes inside words."""
        text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
        kept = "".join(c if c == "'" or unicodedata.category(c)[0] not in "PS" else " " for c in text)
        return " ".join(word for word in (w.strip("'") for w in kept.split()) if word)


class SpokenValues(Configured[Any]):
    """The normaliser that reads numbers, dates and times as values."""

    def normalise(self, text: str, language: str) -> str:
        """Return the words of `text`, with each value in one wording; see `areca_metrics.spoken_values.read_values`.

        Raises:
            InvalidConfig: there is no lexicon for the language.
        """
        from areca_metrics.spoken_values import read_values

        return read_values(text, language)


class Whisper(Configured[Any]):
    """The normalisers of Whisper (arXiv 2212.04356, appendix C), from the package whisper-normalizer."""

    def normalise(self, text: str, language: str) -> str:
        """Return the result of the package's English normaliser for ``"en"``, of its basic one for other languages."""
        return _open_whisper(language == "en")(text)


@functools.cache
def _open_whisper(english: bool) -> Callable[[str], str]:
    normalise: Callable[[str], str]
    if english:
        from whisper_normalizer.english import EnglishTextNormalizer

        normalise = EnglishTextNormalizer()
    else:
        from whisper_normalizer.basic import BasicTextNormalizer

        normalise = BasicTextNormalizer()
    return normalise
