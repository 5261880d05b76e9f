"""Training speech: frames for clustering, recordings and their codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch

from areca.audio import conform
from areca.errors import InvalidManifest
from areca.interfaces import Job
from areca.manifest import Manifest, Utterance
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes
from areca_units import SAMPLE_RATE_HZ

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


def encoded(
    tokenizer: Any,
    spec: TokenizerSpec,
    data: Manifest,
    chosen: Sequence[Recording],
    *,
    seed: int,
    at_once: int,
    most: int | None = None,
) -> Iterator[list[tuple[Audio, Codes]]]:
    """Yield recordings and their codes in random order, `at_once` together.

    Args:
        tokenizer: a loaded tokenizer.
        spec: what it takes.
        data: the manifest of the recordings.
        chosen: rows, each with the column that is meant.
        seed: of the order.
        at_once: recordings encoded together.
        most: how many are wanted; None: all.
    """
    order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(seed)).tolist()[:most]
    for start in range(0, len(order), at_once):
        audios = [read(data, chosen[i]) for i in order[start : start + at_once]]
        codes = tokenizer.encode([conform(a, spec.sample_rate_hz, spec.channels) for a in audios])
        yield list(zip(audios, codes, strict=True))


def read(data: Manifest, recording: Recording) -> Audio:
    """Decode a recording."""
    row, column = recording
    return data.audio(row) if column == "audio" else data.target_audio(row)


def sample_features(
    data: Manifest, encode: Callable[[list[Audio]], list[torch.Tensor]], *, frames: int, job: Job
) -> torch.Tensor:
    """Return features ``[N, D]`` of whole training utterances of both sides in random order, N at most `frames`.

    Args:
        data: what to draw from; its training split is used.
        encode: turns audio at 16 kHz into features ``[F, D]``.
        frames: how many are wanted.
        job: its seed orders the utterances; it is told the progress.

    Raises:
        InvalidManifest: the training split has no audio.
    """
    found = recordings(data)
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(job.seed)).tolist()
    features: list[torch.Tensor] = []
    have = 0
    for start in range(0, len(order), _CHUNK):
        audios = [conform(read(data, found[i]), SAMPLE_RATE_HZ, 1) for i in order[start : start + _CHUNK]]
        new = [x.cpu() for x in encode(audios)]
        features += new
        have += sum(map(len, new))
        job.progress(min(have, frames), frames, "frames to cluster")
        if have >= frames:
            break
    return torch.cat(features)[:frames]
