"""What all corpora share: their options, and the count of rows that are left out. Light: no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from areca.errors import InvalidConfig, InvalidManifest, suggest
from areca.fitting.recordings.left_out import LeftOut
from areca.rows.columns import Utterance
from areca.specs import DatasetSpec, Spec

if TYPE_CHECKING:
    from areca_corpora.places import Place

SPLITS: Mapping[str, str] = MappingProxyType({"train": "train", "validation": "dev", "test": "test"})
"""Splits of areca, and what most corpora call them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusOptions:
    """Options that all corpora have."""

    skip_bad: bool = False
    """Whether to count corrupt lines of tables and leave them out. By default the first one is an error."""
    decode: bool = False
    """Whether to decode every recording when the dataset is built, and to leave out those that are damaged, silent or
    too long. It takes as long as reading and decoding the whole corpus once."""

    def folders(self) -> tuple[Path, Path]:
        """Return the folders where the paths in `audio` and in `target_audio` start."""
        raise NotImplementedError

    def places(self) -> tuple[Place, Place]:
        """Return where the recordings of both columns are: in the files of two folders."""
        from areca_corpora.places import Files

        first, second = map(Files, self.folders())
        return first, second


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions(CorpusOptions):
    """Options of corpora that come in splits."""

    splits: tuple[str, ...] = tuple(SPLITS)
    """Splits to read: train, validation, test."""


class Corpus(Protocol):
    """The config of a corpus, which knows the corpus's layout."""

    @property
    def skip_bad(self) -> bool:
        """See `CorpusOptions`."""

    @property
    def decode(self) -> bool:
        """See `CorpusOptions`."""

    def places(self) -> tuple[Place, Place]:
        """Return where the recordings of the columns `audio` and `target_audio` are."""

    def describe(self) -> DatasetSpec:
        """Return languages and sampling rate."""

    def rows(self, dropped: Dropped) -> Iterator[Utterance]:
        """Yield the rows of the corpus, and count those that it leaves out.

        Raises:
            InvalidManifest: a line of a table is corrupt; the message names file and line.
        """


def spec(config: Corpus, needs: Mapping[str, Spec]) -> DatasetSpec:
    """Return the languages and the sampling rate of a corpus."""
    return config.describe()


class Dropped(LeftOut):
    """Counts the rows that are left out, by reason.

    Args:
        skip_bad: whether corrupt lines are counted; False: the first one is an error.
    """

    def __init__(self, skip_bad: bool) -> None:
        super().__init__()
        self._skip_bad = skip_bad

    def refuse(self, where: str, problem: str) -> None:
        """Count a corrupt line, or raise an error.

        Args:
            where: file and line.
            problem: what is wrong.

        Raises:
            InvalidManifest: corrupt lines are not to be left out.
        """
        if not self._skip_bad:
            raise InvalidManifest(f"{where}: {problem}\n  to leave corrupt lines out: skip_bad=true")
        self.add("corrupt line", f"{where}: {problem}")


def check_names(option: str, given: Sequence[str], known: Mapping[str, object] | None = None) -> None:
    """Refuse an option that is empty, or that has unknown or repeated names.

    Raises:
        ValueError: there is no name, or one that is unknown or given twice.
    """
    if not given:
        raise ValueError(f"{option} is empty" + (f"; choose from {', '.join(known)}" if known else ""))
    if len(set(given)) < len(given):
        raise ValueError(f"{option} names a value twice: {', '.join(given)}")
    for name in given:
        if known is not None and name not in known:
            raise ValueError(f"{option}: there is no {name!r}{suggest(name, known)}; there are {', '.join(known)}")
        if not name or "/" in name or name.startswith("."):
            raise ValueError(f"{option}: {name!r} is not a name")


def require(path: Path, hint: str) -> Path:
    """Return `path`, a file or folder of a corpus.

    Args:
        path: must exist.
        hint: the expected layout, for the message.

    Raises:
        InvalidConfig: it does not exist.
    """
    if not path.exists():
        raise InvalidConfig(f"{path}: no such file or folder; expected {hint}")
    return path


def make_relative(path: str, folder: Path) -> str:
    """Return an absolute path in a folder as one relative to the folder; any other path is unchanged."""
    inside = os.path.isabs(path) and Path(path).is_relative_to(folder)
    return Path(path).relative_to(folder).as_posix() if inside else path


def codes(languages: Sequence[str]) -> tuple[str, ...]:
    """Return the codes by which areca knows a corpus's languages, each once: ``("sv-SE",)`` gives ``("sv",)``."""
    return tuple(dict.fromkeys(code_of(language) or language for language in languages))


def code_of(language: str | None) -> str | None:
    """Return the code of a language as `areca.languages.known_code` does; None for None."""
    from areca.languages import known_code  # imported here because `areca list` needs no languages

    return known_code(language)


def check_language(language: str) -> None:
    """Refuse an option that names no language.

    Raises:
        InvalidConfig: the language is not known; the message suggests the most similar name.
    """
    from areca.languages import language_code

    language_code(language)


def known(values: Mapping[str, str | None]) -> dict[str, str]:
    """Return the values that are given, for `Utterance.extra`."""
    return {name: value for name, value in values.items() if value}


def text_of(value: str) -> str | None:
    """Return a text without white space at its ends; None if nothing is left."""
    return value.strip() or None
