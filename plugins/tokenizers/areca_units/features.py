"""Log-mel features for the unit tokenizers."""

from __future__ import annotations

import torch

from areca.audio import conform
from areca.manifest import Manifest, Utterance
from areca.mel import MelConfig, log_mel
from areca.types import Audio
from areca_units import SAMPLE_RATE_HZ

MEL = MelConfig(sample_rate_hz=SAMPLE_RATE_HZ, n_fft=512, window=400, hop=160, mels=80)
"""80 bands over windows of 25 ms every 10 ms, as is usual in speech recognition."""


def read_speech(data: Manifest, row: Utterance) -> Audio:
    """Decode a row's recording, converted to 16 kHz mono."""
    return conform(data.audio(row), SAMPLE_RATE_HZ, 1)


def compute_mel(audio: Audio) -> torch.Tensor:
    """Return the log-mel ``[frames, 80]`` of audio at 16 kHz, 100 frames per second."""
    return log_mel(audio.samples[0], MEL).T


def normalise(features: torch.Tensor) -> torch.Tensor:
    """Give each column of ``[frames, D]`` mean 0 and variance 1 over the utterance, which removes channel and level."""
    mean = features.mean(0)
    # A single frame has no variance and silence almost none: the floor keeps the result finite.
    deviation = (features - mean).square().mean(0).sqrt()
    return (features - mean) / deviation.clamp(min=1e-2)
