"""Tables and folders of your own recordings. Light: no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from areca import identified_by
from areca.errors import InvalidManifest, quote, shorten, suggest
from areca.languages import known_code, language_code
from areca.options import listing_hash, sizes_hash
from areca.rows.columns import Utterance
from areca.rows.foreign import AUDIO_SUFFIXES
from areca.specs import DatasetSpec
from areca_corpora.options import CorpusOptions, Dropped, codes, require, text_of
from areca_corpora.tables import Line, read_csv, read_tsv

_COLUMNS = tuple(f.name for f in fields(Utterance) if f.name != "extra")
_SECONDS = ("offset_s", "duration_s")
_LANGUAGES = ("language", "target_language")
_FOLDERS: Mapping[str, str] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
"""Splits by the names of folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions(CorpusOptions):
    """Options of `csv` and `tsv`. Texts are unchanged except for white space at their ends.

    Raises:
        ValueError: `columns` names a column that a manifest does not have, or a language is not known.
    """

    path: Path
    """The table. Its first line names its columns."""
    root: Path | None = identified_by("identity", default=None)
    """Folder where paths of recordings start (default: the folder of the table)."""
    columns: dict[str, str] = field(default_factory=dict)
    """Column of the table for each column of a manifest: ``{audio: path, text: sentence, extra.age: age}``. Others are
    not read. By default all columns of the table that have the name of a manifest's column."""
    language: str | None = None
    """Language of all rows, if no column has it."""
    target_language: str | None = None
    """Language of all translations, if no column has it."""
    split: str = "train"
    """Split of the rows, if no column has it."""

    def __post_init__(self) -> None:
        for name in self.columns:
            if name not in _COLUMNS and not name.startswith("extra."):
                raise ValueError(
                    f"columns: a manifest has no column {name!r}{suggest(name, _COLUMNS)}; it has "
                    f"{', '.join(_COLUMNS)}, and extra.NAME for anything else"
                )
        for language in filter(None, (self.language, self.target_language)):
            language_code(language)

    def identity(self) -> Any:
        """Return the names and sizes of the recordings. The content of the table enters the key by itself."""
        folder, rows = self.folders()[0], self.rows(Dropped(skip_bad=True))
        return sizes_hash(
            folder, {str(folder / name) for row in rows for name in (row.audio, row.target_audio) if name}
        )

    def folders(self) -> tuple[Path, Path]:
        """Return the folder of the recordings twice."""
        folder = self.root or self.path.parent
        return folder, folder

    def describe(self) -> DatasetSpec:
        """Return the language if it is known without the table."""
        return DatasetSpec(codes([self.language]) if self.language else (), None)

    def lines(self, dropped: Dropped) -> Iterator[Line]:
        """Yield the lines of the table."""
        raise NotImplementedError

    def rows(self, dropped: Dropped) -> Iterator[Utterance]:
        """Yield a row for each line that names a recording."""
        columns: Mapping[str, str] | None = None
        require(self.path, "a table")
        for line in self.lines(dropped):
            columns = columns or self._choose(line)
            given = {name: text for name, column in columns.items() if (text := text_of(line.values[column]))}
            if "audio" not in given:
                dropped.add("it names no recording", line.where)
            elif problem := _find_problem(given):
                dropped.refuse(line.where, problem)
            else:
                yield self._row(line, given)

    def _choose(self, line: Line) -> Mapping[str, str]:
        """Return the column of the table for each column of the manifest."""
        columns = self.columns or {name: name for name in _COLUMNS if name in line.values}
        there = f"the table has {shorten(', '.join(line.values))}"
        for name, column in columns.items():
            if column not in line.values:
                raise InvalidManifest(f"{self.path}: no column {quote(column)} for {name!r}; {there}")
        if "audio" not in columns:
            raise InvalidManifest(
                f"{self.path}: which column names the recording? {there}; type: columns={{audio: NAME}}"
            )
        return columns

    def _row(self, line: Line, given: Mapping[str, str]) -> Utterance:
        values: dict[str, Any] = {name: text for name, text in given.items() if name in _COLUMNS}
        values = {"split": self.split, "language": self.language, "target_language": self.target_language} | values
        if "target_text" not in values and "target_audio" not in values:
            values["target_language"] = None
        values |= {name: known_code(values[name]) for name in _LANGUAGES}
        values |= {name: float(values[name]) for name in _SECONDS if name in values}
        values.setdefault("id", f"{Path(given['audio']).stem}-{line.where.rpartition(':')[2]}")
        extra = {name.removeprefix("extra."): text for name, text in given.items() if name not in _COLUMNS}
        return Utterance(**values, extra=extra)


def _find_problem(given: Mapping[str, str]) -> str | None:
    for name in _SECONDS:
        if name in given and not given[name].replace(".", "", 1).isdecimal():
            return f"{name} is {quote(given[name])}, expected a number of seconds"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions(TableOptions):
    """Options of `csv`: a table in the form of https://www.rfc-editor.org/rfc/rfc4180."""

    delimiter: str = ","
    """Character between values. Values that contain it are in quotation marks."""

    def lines(self, dropped: Dropped) -> Iterator[Line]:
        """Yield the lines of the table."""
        return read_csv(self.path, dropped, self.delimiter)


@dataclass(frozen=True, slots=True, kw_only=True)
class TsvOptions(TableOptions):
    """Options of `tsv`: values are separated by tabs, and quotation marks have no meaning."""

    def lines(self, dropped: Dropped) -> Iterator[Line]:
        """Yield the lines of the table."""
        return read_tsv(self.path, dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderOptions(CorpusOptions):
    """Options of `audio-folder`: every recording in a folder and the folders below it.

    A recording in a folder called train, validation, valid, val, dev or test, right below `root`, belongs to that
    split. Texts are unchanged except for white space at their ends.

    Raises:
        ValueError: the language is not known.
    """

    root: Path = identified_by("identity")
    """The folder."""
    text: Literal["file", "none"] = "file"
    """``file``: ``a.txt`` in the same folder has the words of ``a.wav``. ``none``: no row has a text."""
    speaker: Literal["folder", "none"] = "none"
    """``folder``: the folder of a recording is named after its speaker. ``none``: the speakers are not known."""
    language: str | None = None
    """Language of all rows."""
    split: str = "train"
    """Split of recordings that are not in the folder of a split."""

    def __post_init__(self) -> None:
        if self.language:
            language_code(self.language)

    def identity(self) -> Any:
        """Return the names and sizes of all files, and the texts."""
        texts = [row.text for row in self.rows(Dropped(skip_bad=True))] if self.text == "file" else []
        return [listing_hash(self.root), texts]

    def folders(self) -> tuple[Path, Path]:
        """Return the folder twice."""
        return self.root, self.root

    def describe(self) -> DatasetSpec:
        """Return the language, if it is given."""
        return DatasetSpec(codes([self.language]) if self.language else (), None)

    def rows(self, dropped: Dropped) -> Iterator[Utterance]:
        """Yield a row for each recording, in the order of their paths."""
        for relative in _list_recordings(require(self.root, "a folder of recordings")):
            text = self._read_text(relative, dropped) if self.text == "file" else None
            if text is None and self.text == "file":
                continue
            folders = relative.parts[:-1]
            yield Utterance(
                id=relative.as_posix(),
                audio=relative.as_posix(),
                text=text,
                language=known_code(self.language),
                speaker=folders[-1] if folders and self.speaker == "folder" else None,
                split=_FOLDERS.get(folders[0].lower(), self.split) if folders else self.split,
            )

    def _read_text(self, relative: Path, dropped: Dropped) -> str | None:
        path = (self.root / relative).with_suffix(".txt")
        try:
            text = text_of(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            dropped.add("no text file beside the recording (text=none reads it without one)", str(relative))
            return None
        except UnicodeDecodeError as error:
            dropped.refuse(str(path), f"not UTF-8 text ({error.reason} at byte {error.start})")
            return None
        if text is None:
            dropped.add("the text is empty", str(path))
        return text


def _list_recordings(root: Path) -> Sequence[Path]:
    paths = (Path(directory, name) for directory, _, names in os.walk(root) for name in names)
    return sorted(path.relative_to(root) for path in paths if path.suffix.lower() in AUDIO_SUFFIXES)
