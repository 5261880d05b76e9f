"""Numbers, dates and times, spoken in five languages by people and by espeak-ng: a parallel corpus of any size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from areca import Component, Kind, hookimpl, runtime
from areca.errors import suggest
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
"""espeak-ng's speakers, without its robots, whisperers and other effects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SayConfig:
    """Options of `say`.

    Raises:
        ValueError: a name that does not exist, a share or count out of range.
    """

    languages: tuple[str, ...] = LANGUAGES
    """Languages of the rows: en, es, fr, de, it."""
    sources: tuple[str, ...] = ("human", "synthetic")
    """``human`` is composed from the Asterisk recordings (no German), ``synthetic`` is espeak-ng (``pip install
    'areca[synthetic]'``), ``human-unheard`` is composed from other people's recordings (es, fr, it; the values
    that they can say), only in the test split."""
    kinds: tuple[str, ...] = KINDS
    """Kinds of values, in equal parts: number (0 to 9,999, uniform by digit count), date (1900 to 2099), time. Values
    that a speaker has no words for are left out: human French has fewer times, Spanish human-unheard no dates."""
    count: int = 4000
    """Training rows of each language and source."""
    validation_count: int = 60
    """Validation rows of each language and source: values never trained on, voices trained on."""
    test_count: int = 400
    """Test rows of each language and source, at most: values never trained on, each once."""
    test_share: float = 0.1
    """Share of all values that belong to the test split, by a hash of kind and value."""
    validation_share: float = 0.05
    """Share of all values that belong to the validation split, by the same hash."""
    held_out_voices: tuple[str, ...] = (
        "Alicia", "Annie", "Hugo", "Marco", "benjamin", "f4", "linda", "m3", "m8", "steph2",
    )  # fmt: skip
    """espeak-ng's speakers that occur only in the test split."""
    mixed_voices: float = 0.8
    """Share of espeak-ng's training rows whose speaker is a mixture of three that are not held out: the formants of
    one, the melody of another, the timbre of a third."""
    target_source: Literal["human", "synthetic"] = "human"
    """Source of the English side of rows in other languages: the human voice, or one voice of espeak-ng."""
    archives: Path | None = None
    """Folder of the recordings' Debian packages (.deb), or of their content; null: ``$ARECA_ASTERISK_ARCHIVES``, or
    if that is not set, apt-get downloads them."""
    workers: int = runtime(2)
    """Batches that are built at the same time."""

    def __post_init__(self) -> None:
        _require("languages", self.languages, LANGUAGES)
        _require("sources", self.sources, SOURCES)
        _require("kinds", self.kinds, KINDS)
        _require("held_out_voices", self.held_out_voices, VARIANTS)
        for name in ("count", "validation_count", "test_count"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        shares = (self.test_share, self.validation_share)
        if min(shares) < 0 or sum(shares) >= 1:
            raise ValueError(
                f"test_share and validation_share must be 0 or more and leave rows to train on, got {shares}"
            )
        if not 0 <= self.mixed_voices <= 1:
            raise ValueError(f"mixed_voices must be from 0 to 1, got {self.mixed_voices}")
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}")
        if len(self.held_out_voices) == len(VARIANTS):
            raise ValueError("held_out_voices holds every voice: none is left to train on")


def _require(option: str, given: tuple[str, ...], known: Iterable[str]) -> None:
    if not given and option != "held_out_voices":
        raise ValueError(f"{option} is empty; choose from {', '.join(known)}")
    if len(set(given)) < len(given):
        raise ValueError(f"{option} names a value twice: {', '.join(given)}")
    for name in given:
        if name not in known:
            raise ValueError(f"{option}: there is no {name!r}{suggest(name, known)}; there are {', '.join(known)}")


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
            requires=("num2words", "babel", "av"),  # espeak-ng is required only if it speaks
            tags=frozenset({"fit", "resume"}),
            extra="synthetic",
            revision=4,
        ),
    ]
