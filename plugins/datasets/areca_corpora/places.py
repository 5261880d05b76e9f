"""Where recordings are: in a folder, or in the rows of Parquet files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Protocol

from areca import audio
from areca.errors import InvalidAudio, InvalidManifest, quote
from areca.files.writing import wrap_storage_errors
from areca.options import file_hash
from areca.types import Audio


class Place(Protocol):
    """Holds recordings, by name."""

    @property
    def root(self) -> Path:
        """The folder."""

    def require(self, name: str) -> None:
        """Check that a recording is in the place, without reading it.

        Raises:
            InvalidManifest: the name leads out of the place.
            InvalidAudio: there is no such recording, or it is empty.
        """

    def digest(self, name: str) -> str:
        """Return the sha256 of the recording's bytes as hex; errors as for `require`."""

    def read(self, name: str, offset_s: float, duration_s: float | None) -> Audio:
        """Decode a recording, from `offset_s` on for `duration_s`.

        Raises:
            InvalidAudio: the recording cannot be decoded.
            MissingDependency: PyAV is needed and not installed.
        """


class Files:
    """Recordings that are files of a folder. Links in it are followed.

    Args:
        root: the folder, where names start.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def require(self, name: str) -> None:
        """See `Place`."""
        audio.require_file(self._locate(name))

    def digest(self, name: str) -> str:
        """See `Place`."""
        return file_hash(audio.require_file(self._locate(name)))

    def read(self, name: str, offset_s: float, duration_s: float | None) -> Audio:
        """See `Place`."""
        return audio.read(self._locate(name), offset_s=offset_s, duration_s=duration_s)

    def _locate(self, name: str) -> Path:
        if name.startswith("/") or ".." in name.split("/") or "\0" in name:
            raise InvalidManifest(
                f"path {quote(name)} leads out of {self.root}: choose a folder that holds all recordings"
            )
        return self.root / name


class ParquetRows:
    """Recordings in a column of Parquet files. ``a.parquet#7`` is the recording in row 7, counted from 0.

    The rows of the last row group are kept, because rows are mostly read in their order.

    Args:
        root: the folder, where names start.
        column: the column: bytes, or a structure with the field ``bytes``.
    """

    def __init__(self, root: Path, column: str) -> None:
        self.root, self._column = root, column
        self._group: tuple[str, int, list[Any]] | None = None

    def require(self, name: str) -> None:
        """See `Place`. Rows come from the files themselves, so only their bytes can be missing."""

    def digest(self, name: str) -> str:
        """See `Place`."""
        return hashlib.sha256(self._content(name)).hexdigest()

    def read(self, name: str, offset_s: float, duration_s: float | None) -> Audio:
        """See `Place`."""
        return audio.read_bytes(self._content(name), name, offset_s=offset_s, duration_s=duration_s)

    def _content(self, name: str) -> bytes:
        file, _, row = name.rpartition("#")
        index, group = int(row), self._group
        if group is None or group[0] != file or not 0 <= index - group[1] < len(group[2]):
            self._group = group = self._read_group(file, index)
        value = group[2][index - group[1]].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes) or not content:
            raise InvalidAudio(f"{self.root}/{name}: column {self._column!r} holds no bytes of a recording")
        return content

    def _read_group(self, file: str, index: int) -> tuple[str, int, list[Any]]:
        """Return the row group that holds a row: the file, its first row, and its values."""
        import pyarrow.parquet

        with wrap_storage_errors(self.root / file, "read"), pyarrow.parquet.ParquetFile(self.root / file) as parquet:
            first = 0
            for number in range(parquet.num_row_groups):
                count = parquet.metadata.row_group(number).num_rows
                if index < first + count:
                    return file, first, list(parquet.read_row_group(number, columns=[self._column])[self._column])
                first += count
        raise InvalidAudio(f"{self.root / file}: expected more than {index} rows, got {first}: the file has changed")
