"""Plan the rows before any of them is spoken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

from areca.manifest import Utterance
from areca_say import VARIANTS, SayConfig
from areca_say.clips import clips
from areca_say.human import Composition, Speaker
from areca_say.synthetic import Sentence, sentence
from areca_say.values import Groups, Value, draw, everything, split_of
from areca_say.wording import text

TARGET_LANGUAGE = "en"
Speech = Sentence | Composition


@dataclass(frozen=True, slots=True)
class Planned:
    """A planned row.

    Args:
        row: the row of the manifest.
        value: the spoken value.
        speech: how it is spoken.
    """

    row: Utterance
    value: Value
    speech: Speech


@dataclass(frozen=True, slots=True)
class Cell:
    """The rows of one language, source and split.

    Args:
        language, source, split: common to the rows.
        count: number of rows, at most.
        speaker: who was recorded; None: espeak-ng speaks.
    """

    language: str
    source: str
    split: str
    count: int
    speaker: Speaker | None

    @property
    def name(self) -> str:
        """Name of the cell's folder, and the start of its rows' ids."""
        return f"{self.language}-{self.source}-{self.split}"

    def can_say(self, value: Value) -> bool:
        """Return whether the speaker has the words of `value`."""
        return self.speaker is None or self.speaker.can_say(clips(value, self.language))


def _seed_of(*words: object) -> int:
    """Return a seed that follows only from `words`, so that no row depends on the number of other rows."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, words)).encode()).digest()[:16], "big")


def target_path(value: Value) -> str:
    """Return the path of the English side of `value`, relative to the manifest's folder."""
    return f"target/{value.kind}-{str(value).replace(':', '-')}.flac"


def plan(config: SayConfig, speakers: Mapping[tuple[str, str], Speaker], seed: int) -> list[list[Planned]]:
    """Return the planned rows: a list for each language, source and split.

    Args:
        config: the options.
        speakers: recorded speakers, by source and language.
        seed: of the choice of values and voices.
    """
    values = _values_by_split(config)
    return [_rows(cell, config, values[cell.split], seed) for cell in _cells(config, speakers)]


def _cells(config: SayConfig, speakers: Mapping[tuple[str, str], Speaker]) -> Iterator[Cell]:
    counts = {"train": config.count, "validation": config.validation_count, "test": config.test_count}
    for language in config.languages:
        for source in config.sources:
            speaker = speakers.get((source, language))
            if source != "synthetic" and speaker is None:
                continue  # nobody was recorded in that language
            for split, count in counts.items():
                if source != "human-unheard" or split == "test":
                    yield Cell(language, source, split, count, speaker)


def _values_by_split(config: SayConfig) -> dict[str, dict[str, Groups]]:
    splits = ("train", "validation", "test")
    values: dict[str, dict[str, Groups]] = {split: {} for split in splits}
    for kind in config.kinds:
        sorted_in: list[dict[str, list[Value]]] = []
        for group in everything()[kind]:
            sorted_in.append({split: [] for split in splits})
            for value in group:
                sorted_in[-1][split_of(value, config.test_share, config.validation_share)].append(value)
        for split in splits:
            values[split][kind] = tuple(tuple(of_split[split]) for of_split in sorted_in)
    return values


def _rows(cell: Cell, config: SayConfig, values: Mapping[str, Groups], seed: int) -> list[Planned]:
    if not any(cell.can_say(value) for groups in values.values() for group in groups for value in group):
        return []
    rng = np.random.default_rng(_seed_of("values", seed, cell.name))
    variants = [v for v in VARIANTS if (v in config.held_out_voices) == (cell.split == "test")] or list(VARIANTS)
    mixed = config.mixed_voices if cell.split == "train" else 0.0
    sayable = filter(cell.can_say, draw(values, rng, repeat=cell.split == "train"))
    rows = []
    for number, value in enumerate(islice(sayable, cell.count)):
        name = f"{cell.name}-{number:05d}"
        if cell.speaker is None:
            speech: Speech = sentence(text(value, cell.language), cell.language, variants, rng, mixed)
        else:
            speech = Composition(cell.speaker, clips(value, cell.language), _seed_of("joins", seed, name))
        rows.append(_plan_row(cell, name, value, speech))
    return rows


def _plan_row(cell: Cell, name: str, value: Value, speech: Speech) -> Planned:
    translated = cell.language != TARGET_LANGUAGE
    row = Utterance(
        id=name,
        audio=f"audio/{cell.name}/{name}.flac",
        text=text(value, cell.language),
        language=cell.language,
        speaker=speech.speaker.name if isinstance(speech, Composition) else f"espeak-{speech.variant}",
        split=cell.split,
        source=cell.source,
        target_audio=target_path(value) if translated else None,
        target_text=text(value, TARGET_LANGUAGE) if translated else None,
        target_language=TARGET_LANGUAGE if translated else None,
        extra={"kind": value.kind, "value": str(value)},
    )
    return Planned(row, value, speech)
