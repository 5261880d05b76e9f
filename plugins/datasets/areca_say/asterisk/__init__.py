"""The prompts of the telephone exchange Asterisk: the same sentences in five languages, spoken by professionals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from areca import Component, Kind, runtime
from areca.fitting.recordings.options import check_names, check_shares, check_workers
from areca.specs import DatasetSpec, Spec

LANGUAGES = ("en", "es", "fr", "it", "ru")


@dataclass(frozen=True, slots=True, kw_only=True)
class AsteriskConfig:
    """Options of `asterisk`.

    Raises:
        ValueError: a language is unknown, or a share is out of range.
    """

    languages: tuple[str, ...] = LANGUAGES
    """Languages of the rows: en, es, fr, it, ru. If English is included, it is the translation of the others."""
    test_share: float = 0.1
    """Share of the prompts that belong to the test split, by a hash of their key, which all languages share."""
    validation_share: float = 0.05
    """Share of the prompts that belong to the validation split, by the same hash."""
    archives: Path | None = None
    """Folder with the recordings' Debian packages (.deb), or with their unpacked content (default:
    ``$ARECA_ASTERISK_ARCHIVES``; if that is not set, apt-get downloads the packages)."""
    workers: int = runtime(2)
    """Number of recordings to decode at the same time."""

    def __post_init__(self) -> None:
        check_names("languages", self.languages, LANGUAGES)
        check_shares(self.test_share, self.validation_share)
        check_workers(self.workers)


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
