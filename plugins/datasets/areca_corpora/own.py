"""Tables and folders of your own recordings. Light: no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from areca import identified_by
from areca.options import listing_hash, sizes_hash
from areca.rows.columns import Utterance
from areca.specs import DatasetSpec
from areca_corpora.mapping import SPLIT_NAMES, MappedOptions
from areca_corpora.options import (
    CorpusOptions,
    Dropped,
    check_language,
    code_of,
    codes,
    make_relative,
    require,
    text_of,
)
from areca_corpora.tables import Line, read_csv, read_tsv


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions(MappedOptions):
    """Options of `csv` and `tsv`."""

    path: Path
    """The table. Its first line names its columns."""
    root: Path | None = identified_by("identity", default=None)
    """Folder of the recordings, where relative paths start (default: the folder of the table). Absolute paths must be
    in it; ``/`` allows any."""

    def identity(self) -> Any:
        """Return the names and sizes of the recordings. The option `path` adds the content of the table."""
        folder, rows = self.folders()[0], self.rows(Dropped(skip_bad=True))
        names = {name for row in rows for name in (row.audio, row.target_audio) if name}
        return sizes_hash(folder, names)

    def source(self) -> Path:
        """Return the table."""
        return self.path

    def folders(self) -> tuple[Path, Path]:
        """Return the folder of the recordings twice."""
        folder = self.root or self.path.parent
        return folder, folder

    def locate(self, recording: str) -> str:
        """Return the path of a recording relative to the folder, if it is absolute and in the folder."""
        return make_relative(recording, self.folders()[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions(TableOptions):
    """Options of `csv`: a table in the form of https://www.rfc-editor.org/rfc/rfc4180."""

    delimiter: str = ","
    """Character between values. Values that contain it are in quotation marks."""

    def lines(self, dropped: Dropped) -> Iterator[Line]:
        """Yield the lines of the table."""
        return read_csv(require(self.path, "a table"), dropped, self.delimiter)


@dataclass(frozen=True, slots=True, kw_only=True)
class TsvOptions(TableOptions):
    """Options of `tsv`: values are separated by tabs, and quotation marks have no meaning."""

    def lines(self, dropped: Dropped) -> Iterator[Line]:
        """Yield the lines of the table."""
        return read_tsv(require(self.path, "a table"), dropped)


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
            check_language(self.language)

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
                language=code_of(self.language),
                speaker=folders[-1] if folders and self.speaker == "folder" else None,
                split=SPLIT_NAMES.get(folders[0].lower(), self.split) if folders else self.split,
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
    from areca.rows.foreign import AUDIO_SUFFIXES  # imported here because `areca list` reads no folder

    paths = (Path(directory, name) for directory, _, names in os.walk(root) for name in names)
    return sorted(path.relative_to(root) for path in paths if path.suffix.lower() in AUDIO_SUFFIXES)
