"""A log of finished work that survives a kill at any moment: JSON Lines with checksums, only ever added to."""

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
from areca.files.writing import explained, replacing

T = TypeVar("T")
_CHECKED = re.compile(rb'(?P<row>\{.*), "sha256": "(?P<sha256>[0-9a-f]{64})"\}', re.DOTALL)


class Journal(Generic[T]):
    """Rows of one type in a file, by key. What was added is on the disk when `add` returns.

    Each line ends with the sha256 of what it says. A line that a disk changed is left out with a warning, and a last
    one that a kill cut short without: what they said is not known, and has to be done again.

    Args:
        path: the file; made when something is added.
        load: makes a row of a line's JSON object.
        dump: the reverse of `load`.
        key: what tells rows apart.

    Raises:
        InvalidArtifact: a line that is whole and is not such a row.
        StorageError: the file cannot be read or mended.
    """

    def __init__(
        self, path: Path, load: Callable[..., T], dump: Callable[[T], dict[str, Any]], key: Callable[[T], Any]
    ) -> None:
        self._path, self._load, self._dump, self._key = path, load, dump, key
        self._rows: dict[Any, T] = {}
        with explained(path, "read"):
            if path.exists():
                self._read(path.read_bytes())

    def _read(self, content: bytes) -> None:
        *lines, cut = content.split(b"\n")
        good = []
        for number, line in enumerate(lines, start=1):
            if (row := _said(line)) is None:
                warnings.warn(
                    f"{self._path}:{number}: damaged: its sha256 is another; what it said is done again",
                    ArecaWarning,
                    stacklevel=4,
                )
                continue
            good.append(line + b"\n")
            self._add(row, number)
        if cut or len(good) < len(lines):
            with replacing(self._path) as draft:
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
        """Take rows out, for good where they are added again: the last row of a key counts."""
        for key in keys:
            self._rows.pop(key, None)

    def add(self, rows: Iterable[T]) -> None:
        """Write rows and wait until they are on the disk.

        Raises:
            StorageError: the disk refuses; a row that is there in part is left out when the file is read.
        """
        rows = list(rows)
        text = "".join(_checked(self._dump(row)) for row in rows)
        with explained(self._path), self._path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        self._rows |= {self._key(row): row for row in rows}


def _checked(row: dict[str, Any]) -> str:
    said = json.dumps(row, ensure_ascii=False, allow_nan=False)[:-1]
    return f'{said}, "sha256": "{hashlib.sha256(said.encode()).hexdigest()}"}}\n'


def _said(line: bytes) -> bytes | None:
    """Return a line's row without its checksum; None: they do not belong together."""
    found = _CHECKED.fullmatch(line)
    if found is None or hashlib.sha256(found["row"]).hexdigest().encode() != found["sha256"]:
        return None
    return found["row"] + b"}"
