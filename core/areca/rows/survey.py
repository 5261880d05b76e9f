"""Survey the first rows of a manifest without opening a recording, for ``areca validate``. Light."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from areca.errors import InvalidManifest
from areca.rows.columns import Utterance, parse
from areca.rows.foreign import require_manifest
from areca.rows.lines import lines_of
from areca.rows.paths import Paths

MOST_ROWS = 10_000
"""Rows that are read, at most."""
_MOST_FILES = 200
"""Rows whose recordings must exist, at most."""


@dataclass(slots=True)
class Survey:
    """Counts of a manifest's first rows.

    Args:
        rows: how many were read.
        whole: whether these are all rows.
        languages, splits: rows by language (of either side) and split.
    """

    rows: int = 0
    whole: bool = True
    languages: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """Return ``"160 rows: fr 160, en 160; train 150, test 10"``."""
        seen = f"{self.rows:,} rows" if self.whole else f"the first {self.rows:,} rows"
        counts = [", ".join(f"{k} {n:,}" for k, n in sorted(c.items())) for c in (self.languages, self.splits)]
        return f"{seen}: languages {counts[0] or 'not given'}; splits {counts[1]}"


def survey(path: Path, root: Path | None = None) -> Survey:
    """Count languages and splits of a manifest's first rows, and check that the recordings of some exist.

    Args:
        path: the manifest.
        root: where its relative paths start; None: its folder.

    Raises:
        InvalidManifest: the file is not a manifest, a row is wrong, or there is no row.
    """
    require_manifest(path)
    paths = Paths(root or path.parent, own=not (path.parent / "artifact.json").is_file())
    found, lines = Survey(), lines_of(path)
    for number, line in itertools.islice(lines, MOST_ROWS):
        try:
            _count(found, row := parse(line))
            if found.rows <= _MOST_FILES:
                _look_for(paths, row)
        except InvalidManifest as error:
            raise InvalidManifest(f"{path}:{number}: {error}") from error
    found.whole = next(lines, None) is None
    return found


def _count(found: Survey, row: Utterance) -> None:
    found.rows += 1
    found.splits[row.split] += 1
    found.languages.update({x for x in (row.language, row.target_language) if x})


def _look_for(paths: Paths, row: Utterance) -> None:
    for column in ("audio", "target_audio"):
        name = getattr(row, column)
        if name is not None and not os.path.isfile(path := paths.resolve(name)):
            raise InvalidManifest(f"{column}: {path}: no such file")
