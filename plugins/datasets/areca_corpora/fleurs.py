"""FLEURS: the same sentences read in 102 languages. Light: no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from areca import identified_by
from areca.options import listing_hash
from areca.rows.columns import Utterance
from areca.specs import DatasetSpec
from areca_corpora.options import SPLITS, Dropped, SplitOptions, check_names, code_of, codes, known, require, text_of
from areca_corpora.tables import Line, hash_tables, read_tsv

_COLUMNS = ("id", "file_name", "raw_transcription", "transcription", "characters", "num_samples", "gender")
_LAYOUT = "the folder that holds LANGUAGE/train.tsv and LANGUAGE/audio/train, with the archives of audio unpacked"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleursOptions(SplitOptions):
    """Options of `fleurs`.

    The layout is that of https://huggingface.co/datasets/google/fleurs (its folder ``data``, with the archives
    unpacked) and of https://storage.googleapis.com/xtreme_translations/FLEURS102/fr_fr.tar.gz: tables
    ``fr_fr/train.tsv`` without a header, and recordings ``fr_fr/audio/train/NAME.wav``. Recordings with one ``id``, in
    any language, are the same sentence. The text is one of the table's columns, unchanged except for white space at its
    ends. FLEURS does not name its speakers.

    Raises:
        ValueError: an option is empty or names something twice, or no language has a translation.
    """

    root: Path = identified_by("identity")
    """Folder that holds the folders of the languages."""
    languages: tuple[str, ...]
    """Languages of the rows, by the names of their folders: ``fr_fr``, ``cmn_hans_cn``."""
    targets: tuple[str, ...] = ()
    """Languages of the translations, by the same names. Every row is a recording with its translation into one of them:
    the recording of the same sentence, of several the one with the same number. By default rows have no translation."""
    text: Literal["raw_transcription", "transcription"] = "raw_transcription"
    """Column of the text. ``raw_transcription``: with capitals and punctuation. ``transcription``: lower case, without
    punctuation."""

    def __post_init__(self) -> None:
        check_names("languages", self.languages)
        check_names("splits", self.splits, SPLITS)
        if self.targets:
            check_names("targets", self.targets)
            if not self._pairs():
                raise ValueError(f"targets: {self.targets[0]} is not translated into itself; name another language")

    def identity(self) -> Any:
        """Return the content of the tables, and the names and sizes of the recordings."""
        return [
            [hash_tables([self._table(language, split)]), listing_hash(self._audio(language, split))]
            for language in dict.fromkeys((*self.languages, *self.targets))
            for split in self.splits
        ]

    def folders(self) -> tuple[Path, Path]:
        """Return the folder of the corpus twice."""
        return self.root, self.root

    def describe(self) -> DatasetSpec:
        """Return the languages of the rows and the sampling rate."""
        return DatasetSpec(codes(self.languages), 16_000)

    def rows(self, dropped: Dropped) -> Iterator[Utterance]:
        """Yield a row for each recording, or for each recording and language of translation."""
        for split in self.splits:
            names = dict.fromkeys((*self.languages, *self.targets))
            spoken = {name: self._read(name, split, dropped) for name in names}
            if not self.targets:
                for language in self.languages:
                    yield from (
                        self._row(language, split, line) for lines in spoken[language].values() for line in lines
                    )
            for language, target in self._pairs():
                yield from self._translated(language, target, split, spoken[language], spoken[target], dropped)

    def _pairs(self) -> list[tuple[str, str]]:
        return [(language, target) for language in self.languages for target in self.targets if language != target]

    def _read(self, language: str, split: str, dropped: Dropped) -> dict[str, list[Line]]:
        """Return the recordings of each sentence, by its id."""
        sentences = defaultdict[str, list[Line]](list)
        for line in read_tsv(self._table(language, split), dropped, columns=_COLUMNS):
            if text_of(line.values[self.text]):
                sentences[line.values["id"]].append(line)
            else:
                dropped.add(f"{self.text} is empty", line.where)
        return sentences

    def _translated(
        self,
        language: str,
        target: str,
        split: str,
        sentences: dict[str, list[Line]],
        translations: dict[str, list[Line]],
        dropped: Dropped,
    ) -> Iterator[Utterance]:
        for sentence, lines in sentences.items():
            for number, line in enumerate(lines):
                if others := translations.get(sentence, ()):
                    yield self._row(language, split, line, target, others[number % len(others)])
                else:
                    dropped.add(f"the sentence was not recorded in {target} in this split", line.where)

    def _row(
        self, language: str, split: str, line: Line, target: str | None = None, other: Line | None = None
    ) -> Utterance:
        values, name = line.values, SPLITS[split]
        translation: dict[str, Any] = {}
        if target is not None and other is not None:
            translation = {
                "target_audio": f"{target}/audio/{name}/{other.values['file_name']}",
                "target_text": text_of(other.values[self.text]),
                "target_language": code_of(target),
            }
        prefix = language if target is None else f"{language}-{target}"
        return Utterance(
            id=f"{prefix}/{name}/{Path(values['file_name']).stem}",
            audio=f"{language}/audio/{name}/{values['file_name']}",
            text=text_of(values[self.text]),
            language=code_of(language),
            split=split,
            source="fleurs",
            extra=known({"sentence": values["id"], "gender": values["gender"].lower()}),
            **translation,
        )

    def _table(self, language: str, split: str) -> Path:
        return require(self.root / language / f"{SPLITS[split]}.tsv", _LAYOUT)

    def _audio(self, language: str, split: str) -> Path:
        return require(self.root / language / "audio" / SPLITS[split], _LAYOUT)
