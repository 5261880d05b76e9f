"""Token tables: the codes of a manifest's audio in Arrow shards, encoded once. An interrupted build is resumed."""

from __future__ import annotations

import hashlib
import itertools
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import torch

from areca import audio
from areca.artifact import WORK
from areca.artifacts.store import Store
from areca.batching import bucket
from areca.errors import InvalidManifest
from areca.fitting.unfinished import is_intact, seal_path, sealing
from areca.job import Progress, no_progress
from areca.manifest import Column, Manifest, Utterance
from areca.options import key_of
from areca.registry.parts import Part
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes

T = TypeVar("T")
_END = object()

WINDOW_S = 900.0
"""Seconds of audio in a shard: the most work that a kill can cost. The recordings of a shard are sorted by length, so a
longer shard needs less padding: 5 % for recordings of 0.5 to 20 s, and 12 % at a third of this length."""
_SCHEMA = pa.schema(
    [
        ("clip", pa.string()),
        ("samples_sha256", pa.string()),
        ("streams", pa.list_(pa.list_(pa.int32()))),
        ("durations", pa.list_(pa.int32())),
    ]
)


class TokenTable(Mapping[str, Codes]):
    """The codes of a column of a manifest, by row id. They are read from memory-mapped shards on access.

    Args:
        shards: the Arrow files.
        recordings: for each row id, the id of its recording, which rows may share.
        fingerprint: the fingerprint of the tokenizer that encoded them.
    """

    def __init__(self, shards: list[Path], recordings: Mapping[str, str], fingerprint: str) -> None:
        self._table = pa.concat_tables([_open_shard(shard) for shard in shards])
        self._indices = {recording: i for i, recording in enumerate(self._table["clip"].to_pylist())}
        self._recordings, self._fingerprint = recordings, fingerprint

    def __getitem__(self, row_id: str) -> Codes:
        index = self._indices[self._recordings[row_id]]
        durations = self._table["durations"][index]
        return Codes(
            tuple(_to_tensor(stream) for stream in self._table["streams"][index]),
            _to_tensor(durations) if durations.is_valid else None,
            self._fingerprint,
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._recordings)

    def __len__(self) -> int:
        return len(self._recordings)


class TokenizerLoader(Protocol):
    """The members of `areca.artifacts.loader.PartLoader` that `tokenize` uses."""

    store: Store
    device: torch.device

    def instance(self, part: Part) -> Any:
        """Return the loaded tokenizer."""

    def fingerprint(self, part: Part) -> str:
        """Return a hash that identifies the loaded tokenizer."""


def tokenize(
    manifest: Manifest,
    column: Column,
    part: Part,
    loader: TokenizerLoader,
    *,
    rows: Sequence[Utterance] | None = None,
    progress: Progress = no_progress,
    batch_s: float = 30.0,
) -> TokenTable:
    """Encode the audio of a manifest's rows; if the store has their codes, return these.

    A recording that several rows share is encoded once. Memory use does not grow with the length of the audio. On an
    accelerator, a thread decodes and resamples the next recordings; on the CPU that would slow down the encoder.

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
    inputs = table_inputs(manifest, column, fingerprint, rows)

    def build(directory: Path) -> None:
        first: dict[str, Utterance] = {}
        for row in manifest.rows if rows is None else rows:
            if row.id in recordings:
                first.setdefault(recordings[row.id], row)
        _encode_shards(directory, manifest, column, list(first.items()), part, loader, progress, batch_s)

    artifact = loader.store.make(inputs, build, label=f"tokens {part.name} {column}", resume=True)
    return TokenTable(sorted(artifact.directory.glob("*.arrow")), recordings, fingerprint)


def table_inputs(
    manifest: Manifest, column: Column, fingerprint: str, rows: Sequence[Utterance] | None = None
) -> dict[str, Any]:
    """Return the inputs of the artifact key of a token table; `fingerprint` is the tokenizer's."""
    inputs = {"kind": "tokens", "revision": 1, "tokenizer": fingerprint, "data": manifest.key, "column": column}
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
    shards = _find_intact_shards(directory)
    done = first = sum(_open_shard(shard).num_rows for shard in shards)
    tokenizer, start_s, seconds = loader.instance(part), time.monotonic(), 0.0
    assert isinstance(part.spec, TokenizerSpec)
    windows = _split_windows(_decode(manifest, column, recordings[first:], part.spec))
    for number, window in enumerate(windows if loader.device.type == "cpu" else prefetch(windows), start=len(shards)):
        # Encode the window in batches of similar length.
        lengths_s = np.array([decoded.audio.seconds for decoded in window])
        codes: dict[int, Codes] = {}
        for batch in bucket((lengths_s * 1000).astype(np.int64), int(batch_s * 1000)):
            codes.update(zip(batch.tolist(), tokenizer.encode([window[i].audio for i in batch]), strict=True))
            seconds += float(lengths_s[batch].sum())
            speed = seconds / (time.monotonic() - start_s)
            progress(done + len(codes), len(recordings), f"{part.name} {column}, {speed:.0f} x real time")
        # Save its codes as one shard.
        done += len(window)
        _save_table(_shard_path(directory, number), _build_table(window, codes))


def _shard_path(directory: Path, number: int) -> Path:
    return directory / f"tokens-{number:06d}.arrow"


def _seal_path(shard: Path) -> Path:
    work = shard.parent / WORK  # it is not part of the artifact
    work.mkdir(exist_ok=True)
    return seal_path(work / shard.name)


def _find_intact_shards(directory: Path) -> list[Path]:
    """Return the shards of an interrupted build, up to the first that is missing or damaged; remove the others."""
    numbered = (_shard_path(directory, number) for number in itertools.count())
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


def _build_table(window: Sequence[_Decoded], codes: Mapping[int, Codes]) -> pa.Table:
    rows = [
        {
            "clip": decoded.recording,
            "samples_sha256": decoded.samples_sha256,
            "streams": [stream.numpy() for stream in codes[i].streams],
            "durations": None if (durations := codes[i].durations) is None else durations.numpy(),
        }
        for i, decoded in enumerate(window)
    ]
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def _save_table(path: Path, table: pa.Table) -> None:
    with (
        sealing(path, _seal_path(path)) as draft,
        pa.OSFile(str(draft), "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)


def _open_shard(shard: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(shard))).read_all()


def _to_tensor(values: Any) -> torch.Tensor:
    return torch.from_numpy(values.values.to_numpy(zero_copy_only=False).astype(np.int64))


def _recording_id(row: Utterance, column: Column) -> str:
    if column == "target_audio":
        return f"{row.target_audio}"
    return f"{row.audio}@{row.offset_s!r}+{row.duration_s!r}"


def _hash_samples(sound: Audio) -> str:
    """Hash the decoded samples with their rate and channel count."""
    digest = hashlib.sha256(f"{sound.sample_rate_hz} {sound.channels} ".encode())
    digest.update(sound.samples.contiguous().numpy().data)
    return digest.hexdigest()


def prefetch(items: Iterable[T]) -> Iterator[T]:
    """Yield `items` in order while a thread computes the next ones: one is ready and one in progress.

    An exception of `items` is raised at its position. The thread ends with the iteration, however that ends.
    """
    ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(maxsize=1)
    stop = threading.Event()

    def put(item: Any, error: BaseException | None = None) -> None:
        while not stop.is_set():
            try:
                ready.put((item, error), timeout=0.1)
                break
            except queue.Full:
                continue

    def compute() -> None:
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    return
            put(_END)
        except BaseException as error:
            put(_END, error)

    thread = threading.Thread(target=compute, daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stop.set()
        thread.join()
