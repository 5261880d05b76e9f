"""Build the dataset of any corpus: its rows, and the digests of its recordings, which stay where they are."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from areca.artifact import Artifact
from areca.errors import ArecaWarning, InvalidAudio, InvalidManifest
from areca.files.writing import write_json
from areca.interfaces import Job
from areca.manifest import Column, Manifest, Utterance, read_rows, write_manifest
from areca.sound.hearing import require_audible
from areca_corpora.manifest import CorpusManifest
from areca_corpora.options import Corpus, Dropped

ROWS, DIGESTS, DROPPED = "rows.jsonl", "digests.json", "dropped.json"
COLUMNS: tuple[Column, Column] = ("audio", "target_audio")


class CorpusDataset:
    """The datasets of this package. Each has a config that knows the layout of a corpus."""

    @staticmethod
    def fit(config: Corpus, needs: Mapping[str, Any], data: Manifest | None, job: Job) -> None:
        """Write the rows, the digests of their recordings, and what was left out and why.

        Raises:
            InvalidConfig: a file of the corpus is missing.
            InvalidManifest: a line of a table is corrupt, or no row can be used.
        """
        dropped = Dropped(config.skip_bad)
        recordings = Recordings(config, dropped)
        rows = [row for row in _drop_repeated(config.rows(dropped), dropped) if recordings.have(row)]
        usable = []
        for done, row in enumerate(rows, start=1):
            if recordings.digest(row):
                usable.append(row)
            job.progress(done, len(rows), "recordings")
        if not usable:
            raise InvalidManifest("\n  ".join([f"{config.places()[0].root}: no usable row", *dropped.messages]))
        write_manifest(job.directory / ROWS, usable)
        write_json(job.directory / DIGESTS, recordings.digests)
        write_json(job.directory / DROPPED, dropped.messages)
        if dropped.messages:
            warnings.warn("\n  ".join(["rows are left out:", *dropped.messages]), ArecaWarning, stacklevel=2)

    @staticmethod
    def load(
        config: Corpus, needs: Mapping[str, Any], files: Path, *, device: torch.device, dtype: torch.dtype
    ) -> CorpusManifest:
        """Read the rows. No recording is opened."""
        digests, skipped = _read_json(files / DIGESTS), _read_json(files / DROPPED)
        places = dict(zip(COLUMNS, config.places(), strict=True))
        key = Artifact.open(files, verify=False).key
        return CorpusManifest(read_rows(files / ROWS), key, places, digests, tuple(skipped))


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _drop_repeated(rows: Iterator[Utterance], dropped: Dropped) -> Iterator[Utterance]:
    ids = set[str]()
    for row in rows:
        if row.id in ids:
            dropped.add("an earlier row has the same id", row.id)
        else:
            ids.add(row.id)
            yield row


class Recordings:
    """The recordings of a corpus. Each is read once for its digest, or twice if it is in both columns.

    Args:
        config: names their places, and says whether they are decoded.
        dropped: counts the rows whose recordings cannot be used.
    """

    def __init__(self, config: Corpus, dropped: Dropped) -> None:
        self.digests: dict[Column, dict[str, str]] = {column: {} for column in COLUMNS}
        self._places = dict(zip(COLUMNS, config.places(), strict=True))
        self._decode, self._dropped = config.decode, dropped
        self._problems: dict[tuple[Column, str, float, float | None], str | None] = {}

    def have(self, row: Utterance) -> bool:
        """Return whether the recordings of a row exist and are not empty; otherwise count the row."""
        for column in COLUMNS:
            if (name := getattr(row, column)) is None:
                continue
            try:
                self._places[column].require(name)
            except InvalidManifest as error:
                self._dropped.add("the path of the recording leads out of the folder", f"{row.id}: {error}")
                return False
            except InvalidAudio as error:
                self._dropped.add("the recording is missing or empty", f"{row.id}: {error}")
                return False
        return True

    def digest(self, row: Utterance) -> bool:
        """Compute the digests of a row's recordings; if one cannot be used, count the row and return False."""
        spans = {"audio": (row.offset_s, row.duration_s), "target_audio": (0.0, None)}
        for column in COLUMNS:
            if (name := getattr(row, column)) is None:
                continue
            if problem := self._find_problem(column, name, *spans[column]):
                self._dropped.add("the recording cannot be used", f"{row.id}: {problem}")
                return False
        return True

    def _find_problem(self, column: Column, name: str, offset_s: float, duration_s: float | None) -> str | None:
        """Return what is wrong with a recording; if nothing is, its digest is known afterwards."""
        part = (column, name, offset_s, duration_s) if self._decode else (column, name, 0.0, None)
        if part not in self._problems:
            place = self._places[column]
            try:
                if self._decode:
                    require_audible(place.read(name, offset_s, duration_s))
                if name not in self.digests[column]:
                    self.digests[column][name] = place.digest(name)
                self._problems[part] = None
            except InvalidAudio as error:
                self._problems[part] = str(error)
        return self._problems[part]
