"""A log of finished work that survives a kill at any moment: JSON Lines, only ever added to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

from areca.errors import InvalidArtifact

T = TypeVar("T")


class Journal(Generic[T]):
    """Rows of one type in a file, by key. What was added is on the disk when `add` returns.

    Args:
        path: the file; made when something is added. A last line that a kill cut short is removed.
        load: makes a row of a line's JSON object.
        dump: the reverse of `load`.
        key: what tells rows apart.

    Raises:
        InvalidArtifact: a line that is not such a row, other than a last one cut short.
    """

    def __init__(
        self, path: Path, load: Callable[..., T], dump: Callable[[T], dict[str, Any]], key: Callable[[T], Any]
    ) -> None:
        self._path, self._dump, self._key = path, dump, key
        self._rows: dict[Any, T] = {}
        if not path.is_file():
            return
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                row = load(**json.loads(line))
            except (ValueError, TypeError) as e:
                raise InvalidArtifact(f"{path}:{number}: no row of this log ({e}); remove the file") from e
            self._rows[key(row)] = row

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __getitem__(self, key: object) -> T:
        return self._rows[key]

    def add(self, rows: Iterable[T]) -> None:
        """Write rows and wait until they are on the disk."""
        rows = list(rows)
        text = "".join(json.dumps(self._dump(row), ensure_ascii=False) + "\n" for row in rows)
        with self._path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        self._rows |= {self._key(row): row for row in rows}
