"""Training speech: frames for clustering, recordings and their codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file

from areca.audio import conform
from areca.errors import InvalidManifest
from areca.interfaces import Job, report_quota
from areca.manifest import Manifest, Utterance
from areca.resume import kept
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes
from areca_units import SAMPLE_RATE_HZ
from areca_units.kmeans import fit_kmeans

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
    data: Manifest, encode: Callable[[list[Audio]], list[torch.Tensor]], *, frames: int, job: Job
) -> torch.Tensor:
    """Return features ``[N, D]`` of whole training utterances of both sides in random order, N at most `frames`.

    Args:
        data: what to draw from; its training split is used.
        encode: turns audio at 16 kHz into features ``[F, D]``.
        frames: how many are wanted.
        job: its seed orders the utterances; it is told the progress, and its folder holds what is to be gone on from:
            once in a job.

    Raises:
        InvalidManifest: the training split has no audio.
    """

    def compute(audios: list[Audio]) -> dict[str, torch.Tensor]:
        return {"features": torch.cat([x.cpu() for x in encode([conform(a, SAMPLE_RATE_HZ, 1) for a in audios])])}

    found = recordings(data)
    features: list[torch.Tensor] = []
    have = seen = 0
    for made in passed(data, found, compute, seed=job.seed, at_once=_CHUNK, folder=job.work / "frames"):
        features.append(made["features"])
        have, seen = have + len(made["features"]), min(seen + _CHUNK, len(found))
        report_quota(job.progress, have, frames, seen, len(found), unit="frames", doing="to cluster")
        if have >= frames:
            break
    return torch.cat(features)[:frames]


def fit_centroids(
    data: Manifest, encode: Callable[[list[Audio]], list[torch.Tensor]], *, clusters: int, frames: int, job: Job
) -> torch.Tensor:
    """Cluster features of the training split, both sides: float32 ``[clusters, D]`` on the job's device.

    Args:
        data: what to draw from; its training split is used.
        encode: turns audio at 16 kHz into features ``[F, D]``.
        clusters: number of centroids.
        frames: how many are clustered, at most.
        job: as of `sample_features`; its seed draws the start of the clusters, too.

    Raises:
        InvalidManifest: the training split has no audio.
        ValueError: it has fewer frames than `clusters`.
    """
    points = sample_features(data, encode, frames=frames, job=job)
    generator = torch.Generator().manual_seed(job.seed)
    return fit_kmeans(points.to(job.device), clusters, generator=generator)


def passed(
    data: Manifest,
    found: Sequence[Recording],
    compute: Callable[[list[Audio]], dict[str, torch.Tensor]],
    *,
    seed: int,
    at_once: int,
    folder: Path,
    most: int | None = None,
) -> Iterator[dict[str, torch.Tensor]]:
    """Pass over recordings in random order and yield what `compute` makes of each chunk of them.

    Args:
        data: the manifest of the recordings.
        found: some of its recordings.
        compute: turns decoded recordings into tensors by name.
        seed: of the order.
        at_once: recordings in a chunk.
        folder: holds what is made, so that an interrupted pass goes on where it was.
        most: how many are wanted; None: all.
    """
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed)).tolist()[:most]
    chunks = ([found[i] for i in order[start : start + at_once]] for start in range(0, len(order), at_once))
    named = folder.with_name(f"{folder.name}-{at_once}")
    for path in kept(named, chunks, lambda chunk: compute([read(data, recording) for recording in chunk])):
        yield load_file(path)


def read(data: Manifest, recording: Recording) -> Audio:
    """Decode a recording."""
    row, column = recording
    return data.audio(row) if column == "audio" else data.target_audio(row)


def encode(tokenizer: Any, spec: TokenizerSpec, audios: Sequence[Audio]) -> list[Codes]:
    """Return the codes of audio of any rate by `tokenizer`, whose spec says which it takes."""
    codes: list[Codes] = tokenizer.encode([conform(a, spec.sample_rate_hz, spec.channels) for a in audios])
    return codes
