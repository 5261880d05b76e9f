"""LibriSpeech and Multilingual LibriSpeech: read books. Light: no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from areca import identified_by
from areca.options import content_hash, listing_hash
from areca.rows.columns import Utterance
from areca.specs import DatasetSpec
from areca_corpora.options import SPLITS, CorpusOptions, Dropped, SplitOptions, check_names, require, text_of
from areca_corpora.tables import read_tsv, read_words

SUBSETS: Mapping[str, str] = MappingProxyType(
    {
        "train-clean-100": "train",
        "train-clean-360": "train",
        "train-other-500": "train",
        "dev-clean": "validation",
        "dev-other": "validation",
        "test-clean": "test",
        "test-other": "test",
    }
)
"""Subsets of LibriSpeech, and their splits."""
MLS_LANGUAGES: Mapping[str, str] = MappingProxyType(
    {
        "de": "german",
        "en": "english",
        "es": "spanish",
        "fr": "french",
        "it": "italian",
        "nl": "dutch",
        "pl": "polish",
        "pt": "portuguese",
    }
)
"""Languages of Multilingual LibriSpeech, and their names in its folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LibriSpeechOptions(CorpusOptions):
    """Options of `librispeech`.

    The layout is that of https://www.openslr.org/12: recordings ``SUBSET/SPEAKER/CHAPTER/ID.flac``, and a text for each
    in ``SPEAKER-CHAPTER.trans.txt`` beside them. The texts are in capitals, without punctuation. The column `source` is
    the subset.

    Raises:
        ValueError: a subset is unknown or named twice, or there is none.
    """

    root: Path = identified_by("identity")
    """Folder that holds the subsets: ``LibriSpeech``."""
    subsets: tuple[str, ...] = tuple(SUBSETS)
    """Subsets to read: train-clean-100, train-clean-360, train-other-500, dev-clean, dev-other, test-clean,
    test-other."""
    case: Literal["upper", "lower"] = "upper"
    """``upper``: the texts are unchanged. ``lower``: they are brought to lower case."""

    def __post_init__(self) -> None:
        check_names("subsets", self.subsets, SUBSETS)

    def identity(self) -> Any:
        """Return the content of the texts, and the names and sizes of the recordings."""
        return [
            [[content_hash(path) for path in self._texts(subset)], listing_hash(self.root / subset)]
            for subset in self.subsets
        ]

    def folders(self) -> tuple[Path, Path]:
        """Return the folder of the corpus twice."""
        return self.root, self.root

    def describe(self) -> DatasetSpec:
        """Return English and the sampling rate."""
        return DatasetSpec(("en",), 16_000)

    def rows(self, dropped: Dropped) -> Iterator[Utterance]:
        """Yield a row for each recording."""
        for subset in self.subsets:
            for path in self._texts(subset):
                folder = path.parent.relative_to(self.root).as_posix()
                for line in read_words(path, dropped):
                    name, text = line.values["id"], text_of(line.values["text"])
                    if text is None:
                        dropped.add("the text is empty", line.where)
                        continue
                    yield Utterance(
                        id=name,
                        audio=f"{folder}/{name}.flac",
                        text=text if self.case == "upper" else text.lower(),
                        language="en",
                        speaker=name.split("-")[0],
                        split=SUBSETS[subset],
                        source=subset,
                    )

    def _texts(self, subset: str) -> list[Path]:
        here = [name for name in SUBSETS if (self.root / name).is_dir()]
        hint = f"the subset {subset} of LibriSpeech; to read those that are in the folder: subsets=[{','.join(here)}]"
        return sorted(require(self.root / subset, hint).glob("*/*/*.trans.txt"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MlsOptions(SplitOptions):
    """Options of `mls`.

    The layout is that of https://www.openslr.org/94: texts ``mls_french/train/transcripts.txt`` and recordings
    ``mls_french/train/audio/SPEAKER/BOOK/ID.flac``. The texts are in lower case, without punctuation, and unchanged.

    Raises:
        ValueError: an option is empty or names something twice, or a language is unknown.
    """

    root: Path = identified_by("identity")
    """Folder that holds the folders of the languages, such as ``mls_french``."""
    languages: tuple[str, ...]
    """Languages: de, en, es, fr, it, nl, pl, pt."""
    format: Literal["flac", "opus"] = "flac"
    """``flac``: the original recordings. ``opus``: the compressed ones, in ``mls_french_opus``."""

    def __post_init__(self) -> None:
        check_names("languages", self.languages, MLS_LANGUAGES)
        check_names("splits", self.splits, SPLITS)

    def identity(self) -> Any:
        """Return the content of the texts, and the names and sizes of the recordings."""
        folders = [self._folder(language, split) for language in self.languages for split in self.splits]
        return [[content_hash(folder / "transcripts.txt"), listing_hash(folder / "audio")] for folder in folders]

    def folders(self) -> tuple[Path, Path]:
        """Return the folder of the corpus twice."""
        return self.root, self.root

    def describe(self) -> DatasetSpec:
        """Return the languages. Opus has another sampling rate than FLAC."""
        return DatasetSpec(self.languages, 16_000 if self.format == "flac" else None)

    def rows(self, dropped: Dropped) -> Iterator[Utterance]:
        """Yield a row for each recording."""
        for language in self.languages:
            for split in self.splits:
                folder = self._folder(language, split)
                for line in read_tsv(folder / "transcripts.txt", dropped, columns=("id", "text")):
                    name, text = line.values["id"], text_of(line.values["text"])
                    if text is None or name.count("_") != 2:
                        reason = "the text is empty" if text is None else "the id is not SPEAKER_BOOK_NUMBER"
                        dropped.add(reason, line.where)
                        continue
                    speaker, book, _ = name.split("_")
                    path = folder / "audio" / speaker / book / f"{name}.{self.format}"
                    yield Utterance(
                        id=f"{language}/{name}",
                        audio=path.relative_to(self.root).as_posix(),
                        text=text,
                        language=language,
                        speaker=speaker,
                        split=split,
                        source="mls",
                    )

    def _folder(self, language: str, split: str) -> Path:
        name = f"mls_{MLS_LANGUAGES[language]}" + ("_opus" if self.format == "opus" else "")
        folder = self.root / name / SPLITS[split]
        require(folder / "transcripts.txt", f"{name}.tar.gz as it is unpacked")
        return folder
