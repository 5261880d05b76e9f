"""The heavy half of `in-place`. Its artifact holds the rows and the digests of the recordings, but no audio."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from areca_in_place import InPlaceConfig

from areca.artifact import Artifact
from areca.audio import read_bytes
from areca.errors import InvalidAudio, InvalidManifest
from areca.interfaces import Job
from areca.manifest import Utterance, filter_rows, selected_key
from areca.rows.columns import parse_row
from areca.types import Audio

ROWS, DIGESTS = "rows.jsonl", "digests.json"


class LazyRows(Sequence[Utterance]):
    """Rows that are parsed when they are read."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, i: int) -> Utterance: ...
    @overload
    def __getitem__(self, i: slice) -> LazyRows: ...
    def __getitem__(self, i: int | slice) -> Utterance | LazyRows:
        return LazyRows(self._lines[i]) if isinstance(i, slice) else parse_row(self._lines[i])


@dataclass(frozen=True)
class InPlaceManifest:
    rows: Sequence[Utterance]
    key: str
    source: Path
    digests: Mapping[str, str]

    @property
    def name(self) -> str:
        return str(self.source)

    def select(
        self, split: str | None = None, source: str | None = None, language: str | None = None
    ) -> InPlaceManifest:
        rows = filter_rows(self, split, source, language)
        return dataclasses.replace(self, rows=rows, key=selected_key(self.key, split, source, language))

    def audio(self, row: Utterance) -> Audio:
        return self._read(row, row.audio, row.offset_s, row.duration_s)

    def target_audio(self, row: Utterance) -> Audio:
        return self._read(row, row.target_audio, 0.0, None)

    def _read(self, row: Utterance, name: str | None, offset_s: float, duration_s: float | None) -> Audio:
        if name is None:
            raise InvalidManifest(f"{self.source}: row {row.id!r} has no such recording")
        content = read_member(self.source, name)
        if hashlib.sha256(content).hexdigest() != self.digests[name]:
            raise InvalidAudio(
                f"row {row.id!r}: {self.source}/{name}: changed since the dataset was built: put the old file back, "
                "or run the command again to build the dataset from the new one"
            )
        return read_bytes(content, name, offset_s=offset_s, duration_s=duration_s)


class InPlace:
    @staticmethod
    def fit(config: InPlaceConfig, needs: Mapping[str, Any], data: None, job: Job) -> None:
        lines = read_member(config.source, "list.jsonl").splitlines()
        rows = [parse_row(line) for line in lines]
        names = sorted({name for row in rows for name in (row.audio, row.target_audio) if name})
        digests = {name: hashlib.sha256(read_member(config.source, name)).hexdigest() for name in names}
        (job.directory / ROWS).write_bytes(b"\n".join(lines))
        (job.directory / DIGESTS).write_text(json.dumps(digests))

    @staticmethod
    def load(
        config: InPlaceConfig, needs: Mapping[str, Any], files: Path, *, device: Any, dtype: Any
    ) -> InPlaceManifest:
        key = Artifact.open(files, verify=False).key
        digests = json.loads((files / DIGESTS).read_text())
        return InPlaceManifest(LazyRows((files / ROWS).read_bytes().splitlines()), key, config.source, digests)


def read_member(source: Path, name: str) -> bytes:
    if source.is_dir():
        return (source / name).read_bytes()
    with zipfile.ZipFile(source) as archive:
        return archive.read(name)
