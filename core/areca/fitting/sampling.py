"""Speech to train from: recordings in random order, frames of them for clustering, their codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file

from areca.audio import conform
from areca.errors import InvalidManifest
from areca.fitting.kmeans import fit_kmeans
from areca.fitting.resume import cached_chunks
from areca.interfaces import Job, report_quota
from areca.manifest import Manifest, Utterance
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes

_CHUNK = 64

Recording = tuple[Utterance, Literal["audio", "target_audio"]]
"""A row of a manifest, and the column in which the recording is."""


def training_rows(data: Manifest) -> list[Utterance]:
    """Return the rows of the training split that have audio.

    Raises:
        InvalidManifest: there is none.
    """
    rows = [row for row in data.select(split="train").rows if row.audio is not None]
    if not rows:
        raise InvalidManifest('expected rows with audio in the split "train", got none')
    return rows


def recordings(data: Manifest) -> list[Recording]:
    """Return the training split's recordings of both sides, each once, with the column that it is in.

    Raises:
        InvalidManifest: there is none.
    """
    found: dict[tuple[Any, ...], Recording] = {}
    for row in data.select(split="train").rows:
        if row.audio is not None:
            found.setdefault((row.audio, row.offset_s, row.duration_s), (row, "audio"))
        if row.target_audio is not None:  # one translation may belong to several languages' rows
            found.setdefault((row.target_audio,), (row, "target_audio"))
    if not found:
        raise InvalidManifest('expected rows with audio in the split "train", got none')
    return list(found.values())


def sample_features(
    data: Manifest,
    encode: Callable[[list[Audio]], list[torch.Tensor]],
    *,
    sample_rate_hz: int,
    frames: int,
    job: Job,
) -> torch.Tensor:
    """Return features ``[N, D]`` of whole training utterances of both sides in random order, N at most `frames`.

    Args:
        data: what to draw from; its training split is used.
        encode: turns mono audio into features ``[F, D]``.
        sample_rate_hz: of the audio that `encode` takes.
        frames: how many are wanted.
        job: its seed orders the utterances; it is told the progress, and its folder holds what an interrupted
            fit resumes from, so this is called once in a job.

    Raises:
        InvalidManifest: the training split has no audio.
    """

    def compute(audios: list[Audio]) -> dict[str, torch.Tensor]:
        return {"features": torch.cat([x.cpu() for x in encode([conform(a, sample_rate_hz, 1) for a in audios])])}

    found = recordings(data)
    features: list[torch.Tensor] = []
    have = seen = 0
    for made in iterate_recordings(data, found, compute, seed=job.seed, at_once=_CHUNK, folder=job.work / "frames"):
        features.append(made["features"])
        have, seen = have + len(made["features"]), min(seen + _CHUNK, len(found))
        report_quota(job.progress, have, frames, seen, len(found), unit="frames", doing="to cluster")
        if have >= frames:
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
    """Cluster features of the training split, both sides: float32 ``[clusters, D]`` on the job's device.

    Args:
        data: what to draw from; its training split is used.
        encode: turns mono audio into features ``[F, D]``.
        sample_rate_hz: of the audio that `encode` takes.
        clusters: number of centroids.
        frames: how many are clustered, at most.
        job: as of `sample_features`; its seed draws the start of the clusters, too.

    Raises:
        InvalidManifest: the training split has no audio.
        ValueError: it has fewer frames than `clusters`.
    """
    points = sample_features(data, encode, sample_rate_hz=sample_rate_hz, frames=frames, job=job)
    generator = torch.Generator().manual_seed(job.seed)
    return fit_kmeans(points.to(job.device), clusters, generator=generator)


def iterate_recordings(
    data: Manifest,
    found: Sequence[Recording],
    compute: Callable[[list[Audio]], dict[str, torch.Tensor]],
    *,
    seed: int,
    at_once: int,
    folder: Path,
    most: int | None = None,
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield what `compute` makes of each chunk of recordings, in random order.

    Args:
        data: the manifest of the recordings.
        found: some of its recordings.
        compute: turns decoded recordings into tensors by name.
        seed: of the order.
        at_once: recordings in a chunk.
        folder: holds what is made, so that an interrupted pass resumes.
        most: how many are wanted; None: all.
    """
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed)).tolist()[:most]
    chunks = ([found[i] for i in order[start : start + at_once]] for start in range(0, len(order), at_once))
    named = folder.with_name(f"{folder.name}-{at_once}")
    for path in cached_chunks(
        named, chunks, lambda chunk: compute([read_recording(data, recording) for recording in chunk])
    ):
        yield load_file(path)


def read_recording(data: Manifest, recording: Recording) -> Audio:
    """Decode a recording."""
    row, column = recording
    return data.audio(row) if column == "audio" else data.target_audio(row)


def conform_and_encode(tokenizer: Any, spec: TokenizerSpec, audios: Sequence[Audio]) -> list[Codes]:
    """Return the codes of audio of any rate by `tokenizer`, whose spec says which it takes."""
    codes: list[Codes] = tokenizer.encode([conform(a, spec.sample_rate_hz, spec.channels) for a in audios])
    return codes
