"""Append-only log of finished work (JSON Lines with checksums) that survives a kill at any moment."""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from areca.errors import ArecaWarning, InvalidArtifact
from areca.files.writing import replace_file, wrap_storage_errors

T = TypeVar("T")
_CHECKED = re.compile(rb'(?P<row>\{.*), "sha256": "(?P<sha256>[0-9a-f]{64})"\}', re.DOTALL)


class Journal(Generic[T]):
    """An append-only log of rows of one type, by key. Rows are on the disk when `add` returns.

    Each line ends with the sha256 of its content. A damaged line is dropped with a warning; an incomplete last line,
    which a kill leaves, is dropped silently. The work of dropped lines is repeated.

    Args:
        path: the file; created by the first `add`.
        load: builds a row from the JSON object of a line.
        dump: the inverse of `load`.
        key: returns the key of a row.

    Raises:
        InvalidArtifact: an undamaged line does not contain a row of this type.
        StorageError: the file cannot be read or repaired.
    """

    def __init__(
        self, path: Path, load: Callable[..., T], dump: Callable[[T], dict[str, Any]], key: Callable[[T], Any]
    ) -> None:
        self._path, self._load, self._dump, self._key = path, load, dump, key
        self._rows: dict[Any, T] = {}
        with wrap_storage_errors(path, "read"):
            if path.exists():
                self._read(path.read_bytes())

    def _read(self, content: bytes) -> None:
        *lines, cut = content.split(b"\n")
        good = []
        for number, line in enumerate(lines, start=1):
            if (row := _verify_line(line)) is None:
                warnings.warn(
                    f"{self._path}:{number}: damaged, the sha256 does not match; the work of this line is repeated",
                    ArecaWarning,
                    stacklevel=4,
                )
                continue
            good.append(line + b"\n")
            self._add(row, number)
        if cut or len(good) < len(lines):
            with replace_file(self._path) as draft:
                draft.write_bytes(b"".join(good))

    def _add(self, line: bytes, number: int) -> None:
        try:
            row = self._load(**json.loads(line))
            self._rows[self._key(row)] = row
        except (ValueError, TypeError, RecursionError) as e:
            raise InvalidArtifact(f"{self._path}:{number}: not a row of this log ({e}); remove the file") from e

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __getitem__(self, key: object) -> T:
        return self._rows[key]

    def __iter__(self) -> Iterator[T]:
        return iter(self._rows.values())

    def forget(self, keys: Iterable[Any]) -> None:
        """Remove rows from memory, not from the file. A row added again replaces the old one in the file, too."""
        for key in keys:
            self._rows.pop(key, None)

    def add(self, rows: Iterable[T]) -> None:
        """Append rows and wait until they are on the disk.

        Raises:
            StorageError: the rows cannot be written; the next reader of the file drops an incomplete row.
        """
        rows = list(rows)
        text = "".join(_format_line(self._dump(row)) for row in rows)
        with wrap_storage_errors(self._path), self._path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        self._rows |= {self._key(row): row for row in rows}


def _format_line(row: dict[str, Any]) -> str:
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)[:-1]
    return f'{text}, "sha256": "{hashlib.sha256(text.encode()).hexdigest()}"}}\n'


def _verify_line(line: bytes) -> bytes | None:
    """Return the JSON object of a line without its checksum; None if the checksum does not match."""
    match = _CHECKED.fullmatch(line)
    if match is None or hashlib.sha256(match["row"]).hexdigest().encode() != match["sha256"]:
        return None
    return match["row"] + b"}"
