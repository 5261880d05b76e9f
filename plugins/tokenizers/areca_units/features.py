"""Features of speech that the units are made from, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from areca.audio import conform
from areca.manifest import Manifest, Utterance
from areca.mel import MelConfig, log_mel
from areca.types import Audio
from areca_units import SAMPLE_RATE_HZ

MEL = MelConfig(sample_rate_hz=SAMPLE_RATE_HZ, n_fft=512, window=400, hop=160, mels=80)
"""25 ms windows every 10 ms, as recognisers use; 80 bands."""


def speech(data: Manifest, row: Utterance) -> Audio:
    """Return a row's recording at 16 kHz, mono."""
    return conform(data.audio(row), SAMPLE_RATE_HZ, 1)


def mel_of(audio: Audio) -> torch.Tensor:
    """Return the log-mel ``[frames, 80]`` of audio at 16 kHz, 100 frames a second."""
    return log_mel(audio.samples[0], MEL).T


def normalise(features: torch.Tensor) -> torch.Tensor:
    """Give each column of ``[frames, D]`` mean 0 and variance 1 over the utterance: channel and level vanish."""
    mean = features.mean(0)
    # One frame has no variance, and silence none to speak of: the floor keeps both finite.
    deviation = (features - mean).square().mean(0).sqrt()
    return (features - mean) / deviation.clamp(min=1e-2)


def padded(items: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack ``[F_i, D]`` into ``[B, F, D]`` with zeros behind, and return it with the lengths int64 ``[B]``.

    F is `rounded` up: libraries keep what they prepare for each shape, and memory would grow with them.
    """
    lengths = torch.tensor([len(x) for x in items])
    batch = items[0].new_zeros(len(items), rounded(int(lengths.max())), items[0].shape[1])
    for row, item in zip(batch, items, strict=True):
        row[: len(item)] = item
    return batch, lengths


def rounded(length: int) -> int:
    """Return the next of sixteen lengths an octave, a multiple of 4: few shapes, and at most a sixteenth of padding."""
    step = max(4, 1 << max(0, length.bit_length() - 5))
    return -(-length // step) * step
