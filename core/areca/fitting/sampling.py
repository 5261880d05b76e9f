"""Sample training speech: recordings in random order, their features for clustering, and their codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from areca.audio import conform
from areca.errors import InvalidManifest
from areca.fitting.kmeans import fit_kmeans
from areca.fitting.resume import cached_chunks
from areca.job import Job, report_quota
from areca.manifest import Column, Manifest, Utterance
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes

_CHUNK = 64

Recording = tuple[Utterance, Column]
"""A row of a manifest, and the column that names the recording."""


def training_rows(data: Manifest) -> list[Utterance]:
    """Return the rows of the training split that have audio.

    Raises:
        InvalidManifest: no row of the training split has audio.
    """
    rows = [row for row in data.select(split="train").rows if row.audio is not None]
    if not rows:
        raise InvalidManifest('expected rows with audio in the split "train", got none')
    return rows


def recordings(data: Manifest) -> list[Recording]:
    """Return every recording of the training split once, source and target side, with its column.

    Raises:
        InvalidManifest: no row of the training split has audio.
    """
    unique: dict[tuple[Any, ...], Recording] = {}
    for row in data.select(split="train").rows:
        if row.audio is not None:
            unique.setdefault((row.audio, row.offset_s, row.duration_s), (row, "audio"))
        if row.target_audio is not None:  # rows in several languages may share one translation
            unique.setdefault((row.target_audio,), (row, "target_audio"))
    if not unique:
        raise InvalidManifest('expected rows with audio in the split "train", got none')
    return list(unique.values())


def sample_features(
    data: Manifest,
    encode: Callable[[list[Audio]], list[torch.Tensor]],
    *,
    sample_rate_hz: int,
    frames: int,
    job: Job,
) -> torch.Tensor:
    """Return features of training recordings, source and target side, drawn in random order.

    Call this at most once in a job: an interrupted fit resumes from files in the job's work folder.

    Args:
        data: the corpus; its training split is used.
        encode: turns mono audio into features ``[F, D]``.
        sample_rate_hz: rate of the audio that `encode` takes.
        frames: number of frames to return, at most; only the last recording may be cut.
        job: its seed decides the order, its progress is reported to, and its work folder holds finished chunks.

    Returns:
        ``[N, D]`` on the CPU, with N at most `frames`.

    Raises:
        InvalidManifest: the training split has no audio.

    Example:
        ``points = sample_features(data, encode, sample_rate_hz=16_000, frames=100_000, job=job)``
    """

    def compute(audios: list[Audio]) -> dict[str, torch.Tensor]:
        return {"features": torch.cat([x.cpu() for x in encode([conform(a, sample_rate_hz, 1) for a in audios])])}

    selected = recordings(data)
    features: list[torch.Tensor] = []
    total = done = 0
    for chunk in iterate_recordings(
        data, selected, compute, seed=job.seed, chunk_size=_CHUNK, folder=job.work / "frames"
    ):
        features.append(chunk["features"])
        total, done = total + len(chunk["features"]), min(done + _CHUNK, len(selected))
        report_quota(job.progress, total, frames, done, len(selected), unit="frames", doing="to cluster")
        if total >= frames:
            break
    return torch.cat(features)[:frames]


def fit_centroids(
    data: Manifest,
    encode: Callable[[list[Audio]], list[torch.Tensor]],
    *,
    sample_rate_hz: int,
    clusters: int,
    frames: int,
    job: Job,
) -> torch.Tensor:
    """Cluster features of training recordings, source and target side.

    Args:
        data: the corpus; its training split is used.
        encode: turns mono audio into features ``[F, D]``.
        sample_rate_hz: rate of the audio that `encode` takes.
        clusters: number of centroids.
        frames: number of frames to cluster, at most.
        job: as for `sample_features`; its seed also draws the initial centroids.

    Returns:
        Centroids, float32 ``[clusters, D]`` on the job's device.

    Raises:
        InvalidManifest: the training split has no audio.
        ValueError: the training split has fewer frames than `clusters`.

    Example::

        centroids = fit_centroids(data, encode, sample_rate_hz=16_000, clusters=256, frames=200_000, job=job)
        save_tensors(job.directory / "codebook.safetensors", {"centroids": centroids.cpu()})
    """
    points = sample_features(data, encode, sample_rate_hz=sample_rate_hz, frames=frames, job=job)
    generator = torch.Generator().manual_seed(job.seed)
    return fit_kmeans(points.to(job.device), clusters, generator=generator)


def iterate_recordings(
    data: Manifest,
    selected: Sequence[Recording],
    compute: Callable[[list[Audio]], dict[str, torch.Tensor]],
    *,
    seed: int,
    chunk_size: int,
    folder: Path,
    limit: int | None = None,
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the result of `compute` for chunk after chunk of recordings, in random order.

    Args:
        data: the manifest of the recordings.
        selected: the recordings to use.
        compute: turns decoded recordings into tensors by name.
        seed: decides the order.
        chunk_size: recordings in a chunk.
        folder: its name, with the chunk size appended, is the folder for finished chunks, which a resumed call reuses.
        limit: number of recordings to use, at most (default: all).

    Example::

        for chunk in iterate_recordings(data, recordings(data), compute, seed=job.seed, chunk_size=64, folder=folder):
            features.append(chunk["features"])
    """
    order = shuffle(selected, seed)[:limit]
    chunks = (order[start : start + chunk_size] for start in range(0, len(order), chunk_size))
    sized_folder = folder.with_name(f"{folder.name}-{chunk_size}")  # a file holds as many recordings as a chunk
    for path in cached_chunks(
        sized_folder, chunks, lambda chunk: compute([read_recording(data, recording) for recording in chunk])
    ):
        yield load_file(path)


def shuffle(found: Sequence[Recording], seed: int) -> list[Recording]:
    """Return recordings in a random order that follows from `seed`."""
    return [found[i] for i in torch.randperm(len(found), generator=torch.Generator().manual_seed(seed)).tolist()]


def read_recording(data: Manifest, recording: Recording) -> Audio:
    """Decode a recording of `data`, at its own rate and number of channels."""
    row, column = recording
    return data.audio(row) if column == "audio" else data.target_audio(row)


def conform_and_encode(tokenizer: Any, spec: TokenizerSpec, audios: Sequence[Audio]) -> list[Codes]:
    """Encode audio of any rate: convert it to the rate and channels in the tokenizer's spec first.

    Args:
        tokenizer: a loaded tokenizer.
        spec: the tokenizer's spec.
        audios: recordings.

    Returns:
        One `Codes` per recording.
    """
    codes: list[Codes] = tokenizer.encode([conform(a, spec.sample_rate_hz, spec.channels) for a in audios])
    return codes
