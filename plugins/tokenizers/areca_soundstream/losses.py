"""The reconstruction loss of SoundStream (section III.E): mels at several resolutions."""

from __future__ import annotations

import math

import torch

from areca.mel import MelConfig, log_mel

WINDOWS = tuple(2**k for k in range(6, 12))
"""Windows of the mels, in samples; the hop is a quarter of each."""
_MELS = 64
_LEAST_FFT = 512
"""The bins of a shorter transform are wider than the mel bands, which would leave bands empty."""
_TINY = 1e-12


def reconstruction_loss(real: torch.Tensor, fake: torch.Tensor, sample_rate_hz: int) -> torch.Tensor:
    """Return the distance of the mels of audio ``[B, T]``: a scalar.

    For a window s it is the absolute difference of the magnitudes, plus sqrt(s / 2) times the root of the squared
    differences of their logarithms. The paper sums over windows, frames and bands. Here all three are averaged, so that
    weights mean the same for crops of any length.
    """
    distances = []
    for window in WINDOWS:
        config = MelConfig(sample_rate_hz, max(window, _LEAST_FFT), window, window // 4, _MELS)
        x, y = log_mel(real, config), log_mel(fake, config)
        magnitudes = (x.exp() - y.exp()).abs().mean()
        logarithms = ((x - y).square().mean(-2) + _TINY).sqrt().mean()
        distances.append(magnitudes + math.sqrt(window / 2) * logarithms)
    return torch.stack(distances).mean()
