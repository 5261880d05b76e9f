"""Common Voice: read sentences in many languages. Light: no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from areca import identified_by
from areca.options import listing_hash
from areca.rows.columns import Utterance
from areca.specs import DatasetSpec
from areca_corpora.options import SPLITS, Dropped, SplitOptions, check_names, code_of, codes, known, require, text_of
from areca_corpora.tables import Line, hash_tables, read_tsv

LAYOUT = "a release of Common Voice as it is unpacked: the folder that holds LANGUAGE/train.tsv and LANGUAGE/clips"
_NEEDED = ("client_id", "path", "sentence")
_EXTRA = {"gender": "gender", "age": "age", "accent": "accent", "accents": "accent", "variant": "variant"}
"""Columns that go into `extra`. From release 8 on, the column of accents is called ``accents``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonVoiceOptions(SplitOptions):
    """Options of `common-voice`.

    The layout is that of https://github.com/common-voice/cv-dataset. Columns are found by their names, because their
    number differs between releases. The text is ``sentence``, unchanged except for white space at its ends.

    Raises:
        ValueError: an option is empty or names something twice.
    """

    root: Path = identified_by("identity")
    """Folder of the release, such as ``cv-corpus-17.0-2024-03-15``."""
    languages: tuple[str, ...]
    """Languages, by the names of their folders: ``fr``, ``zh-CN``, ``sv-SE``."""

    def __post_init__(self) -> None:
        check_names("languages", self.languages)
        check_names("splits", self.splits, SPLITS)

    def identity(self) -> Any:
        """Return what identifies the corpus in artifact keys: its tables, and the names and sizes of its clips."""
        return [identify(self.root, language, [SPLITS[split] for split in self.splits]) for language in self.languages]

    def folders(self) -> tuple[Path, Path]:
        """Return the folder of the release twice."""
        return self.root, self.root

    def describe(self) -> DatasetSpec:
        """Return the languages. The sampling rate differs between clips."""
        return DatasetSpec(codes(self.languages), None)

    def rows(self, dropped: Dropped) -> Iterator[Utterance]:
        """Yield a row for each clip."""
        for language in self.languages:
            for split in self.splits:
                for line in read_tsv(table(self.root, language, SPLITS[split]), dropped, needed=_NEEDED):
                    if row := _row(line, language, split):
                        yield row
                    else:
                        dropped.add("the sentence is empty", line.where)


def _row(line: Line, language: str, split: str) -> Utterance | None:
    values = line.values
    name, sentence = clip_name(values["path"]), text_of(values["sentence"])
    if sentence is None:
        return None
    return Utterance(
        id=f"{language}/{Path(name).stem}",
        audio=clip(language, name),
        text=sentence,
        language=code_of(language),
        speaker=text_of(values["client_id"]),
        split=split,
        source="common-voice",
        extra=known({extra: values[column] for column, extra in _EXTRA.items() if column in values}),
    )


def table(root: Path, language: str, name: str) -> Path:
    """Return the path of a table of a language, such as ``validated``.

    Raises:
        InvalidConfig: it does not exist.
    """
    return require(root / language / f"{name}.tsv", LAYOUT)


def clip_name(path: str) -> str:
    """Return the file name of a clip. Early releases leave ``.mp3`` out of the column ``path``."""
    return path if path.endswith((".mp3", ".wav")) else f"{path}.mp3"


def clip(language: str, name: str) -> str:
    """Return the path of a clip, relative to the folder of the release."""
    return f"{language}/clips/{name}"


def identify(root: Path, language: str, tables: Collection[str]) -> Any:
    """Return what identifies a language in artifact keys: tables, and the names and sizes of its clips."""
    clips = require(root / language / "clips", LAYOUT)
    return [language, hash_tables([table(root, language, name) for name in tables]), listing_hash(clips)]


def read_validated(root: Path, language: str, wanted: Collection[str], dropped: Dropped) -> dict[str, tuple[str, str]]:
    """Return sentence and speaker of the clips in `wanted`, by file name, as ``validated.tsv`` has them."""
    lines = read_tsv(table(root, language, "validated"), dropped, needed=_NEEDED)
    found = ((clip_name(line.values["path"]), line.values) for line in lines)
    return {name: (values["sentence"], values["client_id"]) for name, values in found if name in wanted}
