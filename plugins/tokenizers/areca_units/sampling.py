"""Frames of training speech for clustering."""

from __future__ import annotations

from collections.abc import Callable

import torch

from areca.errors import InvalidManifest
from areca.interfaces import Job
from areca.manifest import Manifest, Utterance
from areca.types import Audio
from areca_units.features import speech

_CHUNK = 64


def training_rows(data: Manifest) -> list[Utterance]:
    """Return the rows of the training split that have audio.

    Raises:
        InvalidManifest: there is none.
    """
    rows = [row for row in data.select(split="train").rows if row.audio is not None]
    if not rows:
        raise InvalidManifest('expected rows with audio in the split "train", got none')
    return rows


def sample_features(
    data: Manifest, encode: Callable[[list[Audio]], list[torch.Tensor]], *, frames: int, job: Job
) -> torch.Tensor:
    """Return features ``[N, D]`` of whole training utterances in random order, N at most `frames`.

    Args:
        data: what to draw from; its training split is used.
        encode: turns audio at 16 kHz into features ``[F, D]``.
        frames: how many are wanted.
        job: its seed orders the utterances; it is told the progress.

    Raises:
        InvalidManifest: the training split has no audio.
    """
    rows = training_rows(data)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(job.seed)).tolist()
    features: list[torch.Tensor] = []
    have = 0
    for start in range(0, len(order), _CHUNK):
        encoded = encode([speech(data, rows[i]) for i in order[start : start + _CHUNK]])
        features += [x.cpu() for x in encoded]
        have += sum(map(len, encoded))
        job.progress(min(have, frames), frames, "frames to cluster")
        if have >= frames:
            break
    return torch.cat(features)[:frames]
