"""Numbers, dates and times in five languages, spoken by people and by espeak-ng: a parallel corpus of any size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from areca import Component, Kind, added, hookimpl, runtime
from areca.fitting.recordings.options import check_names, check_shares, check_workers
from areca.specs import DatasetSpec, Spec
from areca_say.asterisk import ASTERISK

ARECA_PLUGIN_API = 1
LANGUAGES = ("en", "es", "fr", "de", "it")
SOURCES = ("human", "synthetic", "human-unheard")
KINDS = ("number", "date", "time")
VARIANTS = (
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky",
    "Lee", "Marco", "Mario", "Michael", "Mike", "Nguyen", "Reed", "RicishayMax", "adam", "anika", "antonio", "aunty",
    "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "edward2", "f1", "f2", "f3", "f4", "f5",
    "grandma", "grandpa", "gustave", "ian", "iven", "iven2", "iven3", "iven4", "john", "kaukovalta", "linda", "m1",
    "m2", "m3", "m4", "m5", "m6", "m7", "m8", "marcelo", "max", "michel", "miguel", "mike2", "norbert", "pablo",
    "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph", "steph2", "steph3", "travis", "victor",
    "zac",
)  # fmt: skip
"""espeak-ng's speakers, without robots, whispers and other effects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SayConfig:
    """Options of `say`.

    Raises:
        ValueError: a name that does not exist, a share or count out of range.
    """

    languages: tuple[str, ...] = LANGUAGES
    """Languages of the rows: en, es, fr, de, it."""
    sources: tuple[str, ...] = ("human", "synthetic")
    """``human``: words of the Asterisk recordings, joined (no German). ``synthetic``: espeak-ng (``pip install
    'areca[synthetic]'``). ``human-unheard``: words of other people, only in the test split (es, fr, it)."""
    kinds: tuple[str, ...] = KINDS
    """Kinds of values, in equal parts: number (0 to 9,999, with one to four digits equally often), date (1900 to 2099),
    time. A speaker skips values whose words were not recorded: human French has fewer times, and Spanish human-unheard
    has no dates."""
    count: int = 4000
    """Training rows of each language and source."""
    validation_count: int = 60
    """Validation rows of each language and source: values never trained on, voices trained on."""
    test_count: int = 400
    """Maximum number of test rows of each language and source: values never trained on, each at most once."""
    test_share: float = 0.1
    """Share of all values that belong to the test split, by a hash of kind and value."""
    validation_share: float = 0.05
    """Share of all values that belong to the validation split, by the same hash."""
    held_out_voices: tuple[str, ...] = (
        "Alicia", "Annie", "Hugo", "Marco", "benjamin", "f4", "linda", "m3", "m8", "steph2",
    )  # fmt: skip
    """espeak-ng's speakers that occur only in the test split."""
    mixed_voices: float = 0.8
    """Share of espeak-ng's training rows whose speaker is a mixture of three speakers that are not held out: the
    formants of one, the melody of another, the timbre of a third."""
    target_source: Literal["human", "synthetic"] = "human"
    """Source of the English translation of rows in other languages: the human voice, or one voice of espeak-ng."""
    digits: int = added(4)
    """Most digits of a number, from 1 to 4."""
    archives: Path | None = None
    """Folder with the recordings' Debian packages (.deb), or with their unpacked content (default:
    ``$ARECA_ASTERISK_ARCHIVES``; if that is not set, apt-get downloads the packages)."""
    workers: int = runtime(2)
    """Number of batches to build at the same time."""

    def __post_init__(self) -> None:
        check_names("languages", self.languages, LANGUAGES)
        check_names("sources", self.sources, SOURCES)
        check_names("kinds", self.kinds, KINDS)
        check_names("held_out_voices", self.held_out_voices, VARIANTS, may_be_empty=True)
        for name in ("count", "validation_count", "test_count"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        check_shares(self.test_share, self.validation_share)
        if not 0 <= self.mixed_voices <= 1:
            raise ValueError(f"mixed_voices must be from 0 to 1, got {self.mixed_voices}")
        if not 1 <= self.digits <= 4:
            raise ValueError(f"digits must be from 1 to 4, got {self.digits}")
        check_workers(self.workers)
        if len(self.held_out_voices) == len(VARIANTS):
            raise ValueError("held_out_voices names every voice: none is left to train on")


def spec(config: SayConfig, needs: Mapping[str, Spec]) -> DatasetSpec:
    """Return the languages and the sampling rate."""
    return DatasetSpec(languages=config.languages, sample_rate_hz=16_000)


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `say`, and `asterisk`, whose recordings `say` combines."""
    return [
        ASTERISK,
        Component(
            kind=Kind.DATASET,
            name="say",
            config=SayConfig,
            spec="areca_say:spec",
            target="areca_say.dataset:Say",
            summary="spoken numbers, dates and times in en, es, fr, de, it, with the English translation",
            license="Apache-2.0",
            requires=("num2words", "babel", "av"),  # espeak-ng is required only for synthetic speech
            tags=frozenset({"fit", "resume"}),
            extra="synthetic",
            revision=4,
        ),
    ]
