"""Parquet files with recordings inside, as data sets on the Hugging Face hub have them. Light: no torch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from areca import identified_by
from areca.errors import InvalidConfig, InvalidManifest, summarise
from areca_corpora.mapping import SPLIT_NAMES, MappedOptions, choose_columns
from areca_corpora.options import Dropped, require
from areca_corpora.tables import Line

if TYPE_CHECKING:
    import pyarrow.parquet

    from areca_corpora.places import ParquetRows

_SPLIT = re.compile(rf"({'|'.join(SPLIT_NAMES)})([-_.].*)?")
_AUDIO = ("audio", "target_audio")
_FOOTER_END = 8
"""Bytes at the end of a Parquet file: the length of its footer, and a mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetOptions(MappedOptions):
    """Options of `parquet`.

    The layout is that of https://huggingface.co/docs/hub/datasets-file-names-and-splits: ``data/train-00000-of-00001.
    parquet`` or ``fr_en/train/0000.parquet``. A file whose name, or whose folder's name, begins with train, validation,
    valid, val, dev or test belongs to that split. A recording is the bytes of an audio file, in a column of bytes or in
    the field ``bytes`` of a structure, which is how `datasets` stores audio.
    """

    path: Path = identified_by("identity")
    """A Parquet file, or a folder that holds Parquet files at any depth. To download some of a data set: ``hf download
    fixie-ai/covost2 --repo-type dataset --include 'fr_en/*' --local-dir covost2``."""

    def identity(self) -> Any:
        """Return the names, sizes and footers of the files. A footer has the place and size of every column."""
        return [
            [str(path.relative_to(self._root())), path.stat().st_size, _hash_footer(path)] for path in self._files()
        ]

    def source(self) -> Path:
        """Return the file or folder."""
        return self.path

    def name_row(self, line: Line, recording: str) -> str:
        """Return the name of the recording: file and number of the row."""
        return recording

    def places(self) -> tuple[ParquetRows, ParquetRows]:
        """Return the readers of both columns of recordings."""
        from areca_corpora.places import ParquetRows

        first, second = (ParquetRows(self._root(), self.columns.get(name, name)) for name in _AUDIO)
        return first, second

    def lines(self, dropped: Dropped) -> Iterator[Line]:
        """Yield the rows of the files, with the names of their recordings in place of the recordings."""
        import pyarrow as pa
        import pyarrow.parquet

        from areca.files.writing import wrap_storage_errors

        for path in self._files():
            try:
                with wrap_storage_errors(path, "read"), pyarrow.parquet.ParquetFile(path) as file:
                    yield from self._file_lines(path, file)
            except pa.ArrowException as error:
                raise InvalidManifest(f"{path}: not a Parquet file: {summarise(error)}") from error

    def _file_lines(self, path: Path, file: pyarrow.parquet.ParquetFile) -> Iterator[Line]:
        present = tuple(file.schema_arrow.names)
        columns = choose_columns(path, self.columns, present)
        name = path.relative_to(self._root()).as_posix()
        recordings = [columns[column] for column in _AUDIO if column in columns]
        read = [column for column in dict.fromkeys(columns.values()) if column not in recordings]
        number, split = 0, _find_split(name)
        for batch in file.iter_batches(columns=read):
            for row in batch.to_pylist() if read else [{} for _ in range(batch.num_rows)]:
                values = dict.fromkeys(present, "") | {key: _text(value) for key, value in row.items()}
                values |= dict.fromkeys(recordings, f"{name}#{number}")
                yield Line(f"{path}:{number}", values, split)
                number += 1

    def _root(self) -> Path:
        return self.path if self.path.is_dir() else self.path.parent

    def _files(self) -> list[Path]:
        require(self.path, "a Parquet file, or a folder of Parquet files")
        files = sorted(self.path.rglob("*.parquet")) if self.path.is_dir() else [self.path]
        if files:
            return files
        script = next(iter(sorted(self.path.glob("*.py"))), None)
        if script is None:
            raise InvalidConfig(f"{self.path}: no .parquet file is in it")
        raise InvalidConfig(
            f"{self.path}: is a data set that the script {script.name} builds, and scripts are not run; give a copy of "
            "it in Parquet (of facebook/covost2: fixie-ai/covost2), or the native files (datasets covost2 and cvss)"
        )


def _find_split(name: str) -> str | None:
    """Return the split that the name of a file states, or that of one of its folders; the last one counts."""
    found = [match[1] for part in name.split("/") if (match := _SPLIT.fullmatch(part))]
    return SPLIT_NAMES[found[-1]] if found else None


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _hash_footer(path: Path) -> str:
    from areca.files.writing import wrap_storage_errors

    size = path.stat().st_size
    with wrap_storage_errors(path, "read"), path.open("rb") as file:
        file.seek(max(0, size - _FOOTER_END))
        length = int.from_bytes(file.read(_FOOTER_END)[:4], "little")
        file.seek(max(0, size - _FOOTER_END - length))
        return hashlib.sha256(file.read()).hexdigest()
