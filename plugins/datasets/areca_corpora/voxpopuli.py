"""VoxPopuli: transcribed speeches of the European Parliament. Light: no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from areca import identified_by
from areca.options import listing_hash
from areca.rows.columns import Utterance
from areca.specs import DatasetSpec
from areca_corpora.options import SPLITS, Dropped, SplitOptions, check_names, code_of, codes, known, require, text_of
from areca_corpora.tables import hash_tables, read_tsv

_LAYOUT = "the ROOT of VoxPopuli's get_asr_data, which holds transcribed_data/LANGUAGE/asr_train.tsv"
_NO_SPEAKER = ("", "None")


@dataclass(frozen=True, slots=True, kw_only=True)
class VoxPopuliOptions(SplitOptions):
    """Options of `voxpopuli`.

    The layout is what ``get_asr_data`` of https://github.com/facebookresearch/voxpopuli writes: tables
    ``transcribed_data/fr/asr_train.tsv`` and recordings ``transcribed_data/fr/YEAR/ID.ogg``. The text is one of the
    table's columns, unchanged except for white space at its ends. Each of them is empty for some recordings.

    Raises:
        ValueError: an option is empty or names something twice.
    """

    root: Path = identified_by("identity")
    """Folder that holds ``transcribed_data``."""
    languages: tuple[str, ...]
    """Languages, by the names of their folders: ``fr``, ``de``, ``en_accented``."""
    text: Literal["normalized_text", "raw_text"] = "normalized_text"
    """Column of the text. ``normalized_text``: lower case, without punctuation. ``raw_text``: as it was published. Rows
    whose text is empty are left out."""

    def __post_init__(self) -> None:
        check_names("languages", self.languages)
        check_names("splits", self.splits, SPLITS)

    def identity(self) -> Any:
        """Return the content of the tables, and the names and sizes of the recordings."""
        return [
            [hash_tables([self._table(language, split) for split in self.splits]), listing_hash(self._folder(language))]
            for language in self.languages
        ]

    def folders(self) -> tuple[Path, Path]:
        """Return the folder of the corpus twice."""
        return self.root, self.root

    def describe(self) -> DatasetSpec:
        """Return the languages and the sampling rate of the recordings."""
        return DatasetSpec(codes(self.languages), 16_000)

    def rows(self, dropped: Dropped) -> Iterator[Utterance]:
        """Yield a row for each recording that has a text."""
        for language in self.languages:
            for split in self.splits:
                path = self._table(language, split)
                for line in read_tsv(path, dropped, needed=("id", self.text, "speaker_id")):
                    name, speaker = line.values["id"], line.values["speaker_id"]
                    if (text := text_of(line.values[self.text])) is None:
                        dropped.add(f"{self.text} is empty", line.where)
                        continue
                    yield Utterance(
                        id=f"{language}/{name}",
                        audio=f"transcribed_data/{language}/{name[:4]}/{name}.ogg",
                        text=text,
                        language=code_of(language),
                        speaker=None if speaker in _NO_SPEAKER else speaker,
                        split=split,
                        source="voxpopuli",
                        extra=known({"gender": line.values.get("gender")}),
                    )

    def _folder(self, language: str) -> Path:
        return require(self.root / "transcribed_data" / language, _LAYOUT)

    def _table(self, language: str, split: str) -> Path:
        return require(self._folder(language) / f"asr_{SPLITS[split]}.tsv", _LAYOUT)
