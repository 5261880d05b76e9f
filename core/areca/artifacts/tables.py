"""Tables of what a tokenizer makes of a manifest's audio, in Arrow shards. An interrupted build is resumed."""

from __future__ import annotations

import hashlib
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import pyarrow as pa
import torch

from areca import audio
from areca.artifact import WORK
from areca.artifacts.prefetch import prefetch
from areca.artifacts.store import Store
from areca.batching import bucket
from areca.errors import InvalidManifest
from areca.fitting.unfinished import is_intact, seal_path, sealing
from areca.job import Progress, no_progress
from areca.manifest import Column, Manifest, Utterance
from areca.options import key_of
from areca.registry.parts import Part
from areca.specs import TokenizerSpec
from areca.types import Audio

T = TypeVar("T")

WINDOW_S = 900.0
"""Seconds of audio in a shard: the most work that a kill can cost. The recordings of a shard are sorted by length, so a
longer shard needs less padding: 5 % for recordings of 0.5 to 20 s, and 12 % at a third of this length."""


class EncodedTable(Mapping[str, T], ABC):
    """What a tokenizer makes of a column of a manifest, by row id. It is read from memory-mapped shards on access.

    A subclass says what it holds for a recording: the tokenizer's codes, or its vectors.

    Args:
        shards: the Arrow files; a row of them is a recording.
        recordings: for each row id, the id of its recording, which rows may share.
        fingerprint: the fingerprint of the tokenizer that encoded them.
    """

    kind: ClassVar[str]
    """Word for the artifact's key and label, and for the names of the shards."""

    def __init__(self, shards: list[Path], recordings: Mapping[str, str], fingerprint: str) -> None:
        self._table = pa.concat_tables([_open_shard(shard) for shard in shards])
        self._indices = {recording: i for i, recording in enumerate(self._table["clip"].to_pylist())}
        self._recordings, self._fingerprint = recordings, fingerprint

    @staticmethod
    @abstractmethod
    def encode(tokenizer: Any, audios: list[Audio]) -> list[Any]:
        """Return what the table holds of each recording; `tokenizer` is what the part's `load` returns."""

    @staticmethod
    @abstractmethod
    def columns(values: Sequence[Any]) -> dict[str, pa.Array]:
        """Return the columns of a shard for the values of its recordings."""

    @abstractmethod
    def _read(self, index: int) -> T:
        """Return the value in row `index` of the shards."""

    @classmethod
    def make(
        cls,
        manifest: Manifest,
        column: Column,
        part: Part,
        loader: TokenizerLoader,
        *,
        rows: Sequence[Utterance] | None = None,
        progress: Progress = no_progress,
        batch_s: float = 30.0,
    ) -> Self:
        """Encode the audio of a manifest's rows; if the store has their table, return it.

        A recording that several rows share is encoded once. Memory use does not grow with the length of the audio. On
        an accelerator, a thread decodes and resamples the next recordings; on the CPU that would slow down the encoder.

        Args:
            manifest: the rows; those without `column` are left out.
            column: ``"audio"`` or ``"target_audio"``.
            part: the tokenizer.
            loader: trains and loads the tokenizer, and holds the store.
            rows: the rows of the manifest to encode; None: all.
            progress: receives the number of encoded recordings.
            batch_s: seconds of audio in a batch, padding included.

        Raises:
            InvalidAudio: a recording cannot be decoded; the message names row and file.
            InvalidManifest: no row has the column.
        """
        recordings = _identify_recordings(manifest, column, rows)
        fingerprint = loader.fingerprint(part)
        inputs = table_inputs(cls.kind, manifest, column, fingerprint, rows)

        def build(directory: Path) -> None:
            first: dict[str, Utterance] = {}
            for row in manifest.rows if rows is None else rows:
                if row.id in recordings:
                    first.setdefault(recordings[row.id], row)
            _encode_shards(cls, directory, manifest, column, list(first.items()), part, loader, progress, batch_s)

        artifact = loader.store.make(inputs, build, label=f"{cls.kind} {part.name} {column}", resume=True)
        return cls(sorted(artifact.directory.glob("*.arrow")), recordings, fingerprint)

    def __getitem__(self, row_id: str) -> T:
        return self._read(self._indices[self._recordings[row_id]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._recordings)

    def __len__(self) -> int:
        return len(self._recordings)


class TokenizerLoader(Protocol):
    """The members of `areca.artifacts.loader.PartLoader` that `EncodedTable.make` uses."""

    store: Store
    device: torch.device

    def instance(self, part: Part) -> Any:
        """Return the loaded tokenizer."""

    def fingerprint(self, part: Part) -> str:
        """Return a hash that identifies the loaded tokenizer."""


def table_inputs(
    kind: str, manifest: Manifest, column: Column, fingerprint: str, rows: Sequence[Utterance] | None = None
) -> dict[str, Any]:
    """Return the inputs of the artifact key of a table of that kind; `fingerprint` is the tokenizer's."""
    inputs = {"kind": kind, "revision": 1, "tokenizer": fingerprint, "data": manifest.key, "column": column}
    return inputs if rows is None else inputs | {"rows": key_of({"ids": [row.id for row in rows]})}


def covers(manifest: Manifest, column: Column, rows: Sequence[Utterance]) -> bool:
    """Return whether `rows` have all recordings in a column of the manifest."""
    return set(_identify_recordings(manifest, column, rows).values()) == set(
        _identify_recordings(manifest, column, None).values()
    )


def _identify_recordings(manifest: Manifest, column: Column, rows: Sequence[Utterance] | None) -> dict[str, str]:
    """Return the id of each row's recording, by row id; rows without one are left out."""
    chosen = manifest.rows if rows is None else rows
    recordings = {row.id: _recording_id(row, column) for row in chosen if getattr(row, column) is not None}
    if not recordings:
        raise InvalidManifest(f"{manifest.name}: no row has {column}")
    return recordings


class _Decoded(NamedTuple):
    """A recording, ready to be encoded."""

    recording: str
    samples_sha256: str
    audio: Audio


def _encode_shards(
    table: type[EncodedTable[Any]],
    directory: Path,
    manifest: Manifest,
    column: Column,
    recordings: list[tuple[str, Utterance]],
    part: Part,
    loader: TokenizerLoader,
    progress: Progress,
    batch_s: float,
) -> None:
    """Encode `recordings`, each given by its id and a row that has it, into shards; intact shards are kept."""
    shards = _find_intact_shards(directory, table.kind)
    done = first = sum(_open_shard(shard).num_rows for shard in shards)
    tokenizer, start_s, seconds = loader.instance(part), time.monotonic(), 0.0
    assert isinstance(part.spec, TokenizerSpec)
    windows = _split_windows(_decode(manifest, column, recordings[first:], part.spec))
    for number, window in enumerate(windows if loader.device.type == "cpu" else prefetch(windows), start=len(shards)):
        # Encode the window in batches of similar length.
        lengths_s = np.array([decoded.audio.seconds for decoded in window])
        values: dict[int, Any] = {}
        for batch in bucket((lengths_s * 1000).astype(np.int64), int(batch_s * 1000)):
            values |= zip(batch.tolist(), table.encode(tokenizer, [window[i].audio for i in batch]), strict=True)
            seconds += float(lengths_s[batch].sum())
            speed = seconds / (time.monotonic() - start_s)
            progress(done + len(values), len(recordings), f"{part.name} {column}, {speed:.0f} x real time")
        # Save it as one shard.
        done += len(window)
        columns = table.columns([values[i] for i in range(len(window))])
        _save_shard(_shard_path(directory, table.kind, number), _build_shard(window, columns))


def _shard_path(directory: Path, kind: str, number: int) -> Path:
    return directory / f"{kind}-{number:06d}.arrow"


def _seal_path(shard: Path) -> Path:
    work = shard.parent / WORK  # it is not part of the artifact
    work.mkdir(exist_ok=True)
    return seal_path(work / shard.name)


def _find_intact_shards(directory: Path, kind: str) -> list[Path]:
    """Return the shards of an interrupted build, up to the first that is missing or damaged; remove the others."""
    numbered = (_shard_path(directory, kind, number) for number in itertools.count())
    shards = list(itertools.takewhile(lambda shard: is_intact(_seal_path(shard), [shard]), numbered))
    for path in set(directory.glob("*.arrow")) - set(shards):
        path.unlink()
    return shards


def _decode(
    manifest: Manifest, column: Column, recordings: Iterable[tuple[str, Utterance]], spec: TokenizerSpec
) -> Iterator[_Decoded]:
    read = manifest.audio if column == "audio" else manifest.target_audio
    for recording, row in recordings:
        sound = read(row)
        yield _Decoded(recording, _hash_samples(sound), audio.conform(sound, spec.sample_rate_hz, spec.channels))


def _split_windows(decoded: Iterable[_Decoded]) -> Iterator[list[_Decoded]]:
    """Yield recordings in lists of at least `WINDOW_S` seconds; the last list may be shorter."""
    window: list[_Decoded] = []
    seconds = 0.0
    for item in decoded:
        window.append(item)
        seconds += item.audio.seconds
        if seconds >= WINDOW_S:
            yield window
            window, seconds = [], 0.0
    if window:
        yield window


def _build_shard(window: Sequence[_Decoded], columns: Mapping[str, pa.Array]) -> pa.Table:
    clips = pa.array([decoded.recording for decoded in window], pa.string())
    hashes = pa.array([decoded.samples_sha256 for decoded in window], pa.string())
    return pa.table({"clip": clips, "samples_sha256": hashes, **columns})


def _save_shard(path: Path, table: pa.Table) -> None:
    with (
        sealing(path, _seal_path(path)) as draft,
        pa.OSFile(str(draft), "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)


def _open_shard(shard: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(shard))).read_all()


def _recording_id(row: Utterance, column: Column) -> str:
    if column == "target_audio":
        return f"{row.target_audio}"
    return f"{row.audio}@{row.offset_s!r}+{row.duration_s!r}"


def _hash_samples(sound: Audio) -> str:
    """Hash the decoded samples with their rate and channel count."""
    digest = hashlib.sha256(f"{sound.sample_rate_hz} {sound.channels} ".encode())
    digest.update(sound.samples.contiguous().numpy().data)
    return digest.hexdigest()
