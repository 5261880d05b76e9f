"""Features of speech that the units are made from, and batches of them."""

from __future__ import annotations

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
