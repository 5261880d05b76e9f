"""Survey the first rows of a manifest without opening a recording, for ``areca validate``. Light."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from areca.errors import InvalidManifest
from areca.rows.columns import Utterance, parse_row
from areca.rows.foreign import require_manifest
from areca.rows.lines import read_lines
from areca.rows.paths import Paths

MOST_ROWS = 10_000
"""Maximum number of rows that are read."""
_MOST_FILES = 200
"""Maximum number of rows whose recordings are looked for."""


@dataclass(slots=True)
class Survey:
    """Counts of a manifest's first rows.

    Args:
        rows: number of rows read.
        whole: whether these are all rows.
        languages, splits: number of rows by language (of either side) and by split.
    """

    rows: int = 0
    whole: bool = True
    languages: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """Return ``"160 rows: languages en 160, fr 160; splits test 10, train 150"``."""
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
    paths = Paths(root or path.parent, allow_absolute=not (path.parent / "artifact.json").is_file())
    result, lines = Survey(), read_lines(path)
    for number, line in itertools.islice(lines, MOST_ROWS):
        try:
            _add_row(result, row := parse_row(line))
            if result.rows <= _MOST_FILES:
                _require_recordings(paths, row)
        except InvalidManifest as error:
            raise InvalidManifest(f"{path}:{number}: {error}") from error
    result.whole = next(lines, None) is None
    return result


def _add_row(result: Survey, row: Utterance) -> None:
    result.rows += 1
    result.splits[row.split] += 1
    result.languages.update({x for x in (row.language, row.target_language) if x})


def _require_recordings(paths: Paths, row: Utterance) -> None:
    for column in ("audio", "target_audio"):
        name = getattr(row, column)
        if name is not None and not os.path.isfile(path := paths.resolve(name)):
            raise InvalidManifest(f"{column}: {path}: no such file")
