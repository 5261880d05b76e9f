"""The prompts of the Asterisk telephone exchange: the same sentences, spoken by professionals in five languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from areca import Component, Kind, runtime
from areca.errors import suggest
from areca.specs import DatasetSpec, Spec

LANGUAGES = ("en", "es", "fr", "it", "ru")


@dataclass(frozen=True, slots=True, kw_only=True)
class AsteriskConfig:
    """Options of `asterisk`.

    Raises:
        ValueError: a language is unknown, or a share is out of range.
    """

    languages: tuple[str, ...] = LANGUAGES
    """Languages of the rows: en, es, fr, it, ru. English, if included, is the translated side of the others."""
    test_share: float = 0.1
    """Share of the prompts that belong to the test split, by a hash of their key, which all languages share."""
    validation_share: float = 0.05
    """Share of the prompts that belong to the validation split, by the same hash."""
    archives: Path | None = None
    """Folder of the recordings' Debian packages (.deb), or of their content; null: ``$ARECA_ASTERISK_ARCHIVES``, or
    if that is not set, apt-get downloads them."""
    workers: int = runtime(2)
    """Recordings that are decoded at the same time."""

    def __post_init__(self) -> None:
        if not self.languages or len(set(self.languages)) < len(self.languages):
            raise ValueError(f"languages: expected some of {', '.join(LANGUAGES)}, each once, got {self.languages}")
        for language in self.languages:
            if language not in LANGUAGES:
                near = suggest(language, LANGUAGES)
                raise ValueError(f"languages: there is no {language!r}{near}; there are {', '.join(LANGUAGES)}")
        shares = (self.test_share, self.validation_share)
        if min(shares) < 0 or sum(shares) >= 1:
            raise ValueError(
                f"test_share and validation_share must be 0 or more and leave rows to train on, got {shares}"
            )
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}")


def spec(config: AsteriskConfig, needs: Mapping[str, Spec]) -> DatasetSpec:
    """Return the languages and the sampling rate."""
    return DatasetSpec(languages=config.languages, sample_rate_hz=16_000)


ASTERISK = Component(
    kind=Kind.DATASET,
    name="asterisk",
    config=AsteriskConfig,
    spec="areca_say.asterisk:spec",
    target="areca_say.asterisk.dataset:Asterisk",
    summary="2,660 telephone prompts by one professional voice a language, parallel in en, es, fr, it, ru",
    license="Apache-2.0",
    requires=("av",),
    tags=frozenset({"fit", "resume"}),
    extra="formats",
)
