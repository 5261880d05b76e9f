"""Plan all rows, before any of them is spoken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

from areca.manifest import Utterance
from areca_say import VARIANTS, SayConfig
from areca_say.clips import list_clips
from areca_say.human import Composition, Speaker
from areca_say.synthetic import Sentence, draw_sentence
from areca_say.values import Groups, Value, all_values, draw_values, split_of
from areca_say.wording import spell_out

TARGET_LANGUAGE = "en"
SPLITS = ("train", "validation", "test")
Speech = Sentence | Composition


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """A row of the manifest, and its speech.

    Args:
        row: the row.
        value: the spoken value.
        speech: the sentence for espeak-ng, or the recordings to compose.
    """

    row: Utterance
    value: Value
    speech: Speech


@dataclass(frozen=True, slots=True)
class Cell:
    """The rows of one language, source and split.

    Args:
        language, source, split: values common to the rows.
        count: maximum number of rows.
        speaker: the recorded voice; None: espeak-ng speaks.
    """

    language: str
    source: str
    split: str
    count: int
    speaker: Speaker | None

    @property
    def name(self) -> str:
        """Name of the cell's folder, and prefix of its rows' ids."""
        return f"{self.language}-{self.source}-{self.split}"

    def can_say(self, value: Value) -> bool:
        """Return whether the speaker has the words of `value`."""
        return self.speaker is None or self.speaker.can_say(list_clips(value, self.language))


def target_path(value: Value) -> str:
    """Return the path of the English recording of `value`, relative to the manifest's folder."""
    return f"target/{value.kind}-{str(value).replace(':', '-')}.flac"


def plan_rows(config: SayConfig, speakers: Mapping[tuple[str, str], Speaker], seed: int) -> list[list[PlannedRow]]:
    """Return one list of rows for each language, source and split.

    Args:
        config: the options.
        speakers: recorded voices, by source and language.
        seed: seed of the choice of values and voices.
    """
    values = _values_by_split(config)
    return [_plan_cell(cell, config, values[cell.split], seed) for cell in _iterate_cells(config, speakers)]


def _iterate_cells(config: SayConfig, speakers: Mapping[tuple[str, str], Speaker]) -> Iterator[Cell]:
    counts = {"train": config.count, "validation": config.validation_count, "test": config.test_count}
    for language in config.languages:
        for source in config.sources:
            speaker = speakers.get((source, language))
            if source != "synthetic" and speaker is None:
                continue  # nobody was recorded in this language
            for split, count in counts.items():
                if source != "human-unheard" or split == "test":
                    yield Cell(language, source, split, count, speaker)


def _values_by_split(config: SayConfig) -> dict[str, dict[str, Groups]]:
    """Return the values of each split by kind, in the groups of `all_values`."""
    values: dict[str, dict[str, Groups]] = {split: {} for split in SPLITS}
    for kind in config.kinds:
        groups = [
            [(value, split_of(value, config.test_share, config.validation_share)) for value in group]
            for group in all_values(config.digits)[kind]
        ]
        for split in SPLITS:
            values[split][kind] = tuple(tuple(value for value, name in group if name == split) for group in groups)
    return values


def _plan_cell(cell: Cell, config: SayConfig, values: Mapping[str, Groups], seed: int) -> list[PlannedRow]:
    """Draw the values of a cell's rows, and the voices that speak them.

    Args:
        cell: the rows to plan.
        config: the options.
        values: the values of the cell's split, by kind.
        seed: the job's seed.
    """
    # Without a value to say, a draw that repeats would never end.
    if not any(cell.can_say(value) for groups in values.values() for group in groups for value in group):
        return []
    rng = np.random.default_rng(_derive_seed("values", seed, cell.name))
    variants = [v for v in VARIANTS if (v in config.held_out_voices) == (cell.split == "test")] or list(VARIANTS)
    mixed = config.mixed_voices if cell.split == "train" else 0.0
    sayable = filter(cell.can_say, draw_values(values, rng, repeat=cell.split == "train"))
    rows = []
    for number, value in enumerate(islice(sayable, cell.count)):
        name = f"{cell.name}-{number:05d}"
        if cell.speaker is None:
            speech: Speech = draw_sentence(spell_out(value, cell.language), cell.language, variants, rng, mixed)
        else:
            joins_seed = _derive_seed("joins", seed, name)
            speech = Composition(cell.speaker, list_clips(value, cell.language), joins_seed)
        rows.append(_plan_row(cell, name, value, speech))
    return rows


def _derive_seed(*words: object) -> int:
    """Return a seed that depends only on `words`, so that no row depends on the number of other rows."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, words)).encode()).digest()[:16], "big")


def _plan_row(cell: Cell, name: str, value: Value, speech: Speech) -> PlannedRow:
    translated = cell.language != TARGET_LANGUAGE
    row = Utterance(
        id=name,
        audio=f"audio/{cell.name}/{name}.flac",
        text=spell_out(value, cell.language),
        language=cell.language,
        speaker=speech.speaker.name if isinstance(speech, Composition) else f"espeak-{speech.variant}",
        split=cell.split,
        source=cell.source,
        target_audio=target_path(value) if translated else None,
        target_text=spell_out(value, TARGET_LANGUAGE) if translated else None,
        target_language=TARGET_LANGUAGE if translated else None,
        extra={"kind": value.kind, "value": str(value)},
    )
    return PlannedRow(row, value, speech)
