"""Options and spec of `people`. Light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from areca import runtime
from areca.fitting.recordings.options import check_names, check_shares, check_workers
from areca.specs import DatasetSpec, Spec
from areca_people.packages import LANGUAGES, NAMES, PACKAGES, TRAINING_PACKAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleConfig:
    """Options of `people`.

    Raises:
        ValueError: a name that does not exist, packages without any of the languages, or a number out of range.
    """

    packages: tuple[str, ...] = TRAINING_PACKAGES
    """Debian packages of the recordings (default: all that may be used in training). The three ``asterisk-prompt-*``
    packages, which are kept for tests, can be added: their rows are in the test split."""
    languages: tuple[str, ...] = LANGUAGES
    """Languages of the rows: ar, be, bg, ca, cs, da, de, el, en, es, fi, fr, ga, gl, he, hu, it, lt, ml, nb, nds, nl,
    pt, ro, ru, sl, sr, sv, tn, uk, wa, zh. With the other defaults, no recording of ar, fi and sv is used."""
    speaker_s: float = 600.0
    """Maximum length of one speaker's recordings in seconds, with their silence, so that a few people do not dominate.
    A seeded choice leaves out the rest."""
    shortest_s: float = 0.7
    """Recordings that are shorter without the silence at their ends are joined with others of the same speaker."""
    joined_s: float = 2.0
    """Minimum length of joined clips in seconds."""
    longest_s: float = 10.0
    """Longer recordings are cut into clips of at most this length in seconds, where they are most quiet."""
    least_rate_hz: int = 16_000
    """Recordings with a lower sampling rate are left out: they lack the high frequencies."""
    sample_rate_hz: int = 16_000
    """Sampling rate of the clips."""
    held_out: tuple[str, ...] = ("kajongg-female2", "klettres-he", "klettres-hu", "ktuberling-gl", "ktuberling-wa")
    """Speakers that occur only in the test split."""
    test_share: float = 0.1
    """Share of the other speakers' recordings in the test split, by a hash of package and file."""
    validation_share: float = 0.05
    """Share of their recordings in the validation split, by the same hash."""
    archives: Path | None = None
    """Folder with the Debian packages (.deb), or with their unpacked content (default: ``$ARECA_PEOPLE_ARCHIVES``; if
    that is not set, apt-get downloads the packages, 580 MB in all)."""
    workers: int = runtime(2)
    """Number of batches to build at the same time."""

    def __post_init__(self) -> None:
        check_names("packages", self.packages, PACKAGES)
        check_names("languages", self.languages, LANGUAGES)
        check_names("held_out", self.held_out, NAMES, may_be_empty=True)
        if not 0 < self.shortest_s <= self.joined_s:
            raise ValueError(f"shortest_s must be above 0 and at most joined_s, got {self.shortest_s}, {self.joined_s}")
        if self.longest_s < 2 * self.joined_s:
            raise ValueError(f"longest_s must be at least twice joined_s, got {self.longest_s} and {self.joined_s}")
        for name in ("speaker_s", "least_rate_hz"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 8000 <= self.sample_rate_hz <= 48_000:
            raise ValueError(f"sample_rate_hz must be from 8000 to 48000, got {self.sample_rate_hz}")
        check_shares(self.test_share, self.validation_share)
        check_workers(self.workers)
        if not spoken_languages(self):
            raise ValueError(f"packages {', '.join(self.packages)} have no {', '.join(self.languages)}")


def spoken_languages(config: PeopleConfig) -> tuple[str, ...]:
    """Return the languages of the rows: those that both options name."""
    spoken = {voice.language for name in config.packages for voice in PACKAGES[name].voices}
    return tuple(language for language in config.languages if language in spoken)


def spec(config: PeopleConfig, needs: Mapping[str, Spec]) -> DatasetSpec:
    """Return the languages, the sampling rate, and that the rows have only audio."""
    return DatasetSpec(spoken_languages(config), config.sample_rate_hz, fields=("source.audio",))
