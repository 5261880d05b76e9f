"""Variations of a training utterance, all made on its log-mel: tempo, throat, echo, noise, blanked bands."""

from __future__ import annotations

import torch

from areca_units.features import normalise
from areca_units.options import EncoderConfig

_KNEE = 27
"""The band at 1 kHz: below it the mel scale is linear in frequency, above it logarithmic."""
_ECHO_FRAMES, _ECHO_GAIN = (2, 16), (0.2, 0.85)
"""20 to 160 ms; how much of the magnitude comes back."""
_NOISE_DB = (5.0, 30.0)
_DB = 8.685889638
"""Decibels in a factor of e of magnitude."""
_TIME_SHARE, _BANDS = 0.06, 14
"""The widest mask: a share of the frames, a number of bands."""


def augmented(mel: torch.Tensor, config: EncoderConfig, generator: torch.Generator) -> torch.Tensor:
    """Return a variation of a log-mel, normalised over the utterance.

    Args:
        mel: float32 ``[frames, mels]``, natural log magnitudes.
        config: how strong each variation is.
        generator: what is drawn.

    Returns:
        float32 ``[frames', mels]``.
    """
    tempo, throat, echoing, noisy = torch.rand(4, generator=generator).tolist()
    mel = warped(mel, 1 + config.stretch * (2 * tempo - 1), 1 + config.warp * (2 * throat - 1))
    if echoing < config.echo:
        mel = _with_echo(mel, generator)
    if noisy < config.noise:
        mel = _with_noise(mel, generator)
    return _blanked(normalise(mel), config.masks, generator)


def warped(mel: torch.Tensor, tempo: float, throat: float) -> torch.Tensor:
    """Return the log-mel of speech `tempo` times as fast, of formants divided by `throat` (Jaitly, Hinton 2013)."""
    frames, mels = mel.shape
    times = torch.linspace(0, frames - 1, max(1, round(frames / tempo)))
    bands = torch.arange(mels, dtype=torch.float32)
    bands = (bands + (throat - 1) * bands.clamp(max=_KNEE)).clamp(0, mels - 1)
    return _interpolated(_interpolated(mel, times).T, bands).T


def _interpolated(x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Return rows of ``[N, D]`` at fractional positions."""
    below = positions.floor().long()
    above = (below + 1).clamp(max=len(x) - 1)
    return torch.lerp(x[below], x[above], (positions - below)[:, None])


def _with_echo(mel: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Add an echo of random delay that comes back again and again, each time fainter; powers add up."""
    late, loud = torch.rand(2, generator=generator).tolist()
    delay = round(_ECHO_FRAMES[0] + late * (_ECHO_FRAMES[1] - _ECHO_FRAMES[0]))
    power = (2 * mel).exp()
    returned = (_ECHO_GAIN[0] + loud * (_ECHO_GAIN[1] - _ECHO_GAIN[0])) ** 2
    for start in range(delay, len(power), delay):  # each stretch of one delay hears the one before, echoes and all
        here = power[start : start + delay]
        here += returned * power[start - delay : start - delay + len(here)]
    return power.log() / 2


def _with_noise(mel: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Add steady noise of random level and spectral slope."""
    level, slope = torch.rand(2, generator=generator).tolist()
    signal = mel.exp().square().mean().log() / 2
    ratio_db = _NOISE_DB[0] + level * (_NOISE_DB[1] - _NOISE_DB[0])
    tilt = torch.linspace(1, -1, mel.shape[1]) * 2 * (2 * slope - 1)
    grain = 0.4 * torch.randn(mel.shape, generator=generator)
    noise = signal - ratio_db / _DB + tilt + grain
    return torch.logaddexp(2 * mel, 2 * noise) / 2


def _blanked(mel: torch.Tensor, masks: int, generator: torch.Generator) -> torch.Tensor:
    """Set bands of time and frequency to the mean, which is 0 (SpecAugment, Park et al. 2019)."""
    frames, mels = mel.shape
    mel = mel.clone()
    for width, start in torch.rand(masks, 2, generator=generator).tolist():
        length = int(width * _TIME_SHARE * frames)
        begin = int(start * (frames - length))
        mel[begin : begin + length] = 0
    for width, start in torch.rand(masks, 2, generator=generator).tolist():
        length = int(width * _BANDS)
        begin = int(start * (mels - length))
        mel[:, begin : begin + length] = 0
    return mel
