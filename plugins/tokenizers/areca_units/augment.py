"""Augmentation of training utterances on the log-mel: tempo, vocal tract length, echo, noise, SpecAugment."""

from __future__ import annotations

import torch

from areca_units.features import normalise
from areca_units.options import EncoderConfig

_KNEE = 27
"""The mel band at 1 kHz: the mel scale is linear in frequency below it and logarithmic above it."""
_ECHO_FRAMES, _ECHO_GAIN = (2, 16), (0.2, 0.85)
"""Range of the delay, 20 to 160 ms, and of the share of the magnitude that returns."""
_NOISE_DB = (5.0, 30.0)
"""Range of the signal-to-noise ratio."""
_DB = 8.685889638
"""Decibels per factor e in magnitude."""
_TIME_SHARE, _BANDS = 0.06, 14
"""Width of the widest masks: a share of the frames, and a number of bands."""


def augment(mel: torch.Tensor, config: EncoderConfig, generator: torch.Generator) -> torch.Tensor:
    """Return a random variation of a log-mel, normalised over the utterance.

    Args:
        mel: float32 ``[frames, mels]``, natural log magnitudes.
        config: the strength of each variation.
        generator: the only source of randomness.

    Returns:
        float32 ``[frames', mels]``.
    """
    tempo, tract, echo, noise = torch.rand(4, generator=generator).tolist()
    mel = warp(mel, 1 + config.stretch * (2 * tempo - 1), 1 + config.warp * (2 * tract - 1))
    if echo < config.echo:
        mel = _add_echo(mel, generator)
    if noise < config.noise:
        mel = _add_noise(mel, generator)
    return _mask_bands(normalise(mel), config.masks, generator)


def warp(mel: torch.Tensor, tempo: float, tract: float) -> torch.Tensor:
    """Change tempo and vocal tract length (Jaitly and Hinton 2013).

    Args:
        mel: float32 ``[frames, mels]``.
        tempo: factor on the speed of speech.
        tract: factor on the length of the vocal tract; formants are divided by it.

    Returns:
        float32 ``[round(frames / tempo), mels]``.
    """
    frames, mels = mel.shape
    times = torch.linspace(0, frames - 1, max(1, round(frames / tempo)))
    bands = torch.arange(mels, dtype=torch.float32)
    bands = (bands + (tract - 1) * bands.clamp(max=_KNEE)).clamp(0, mels - 1)
    return _interpolate(_interpolate(mel, times).T, bands).T


def _interpolate(x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Return rows of ``[N, D]`` at fractional positions, by linear interpolation."""
    below = positions.floor().long()
    above = (below + 1).clamp(max=len(x) - 1)
    return torch.lerp(x[below], x[above], (positions - below)[:, None])


def _add_echo(mel: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Add an echo with random delay and gain that repeats, each time fainter. Powers are added."""
    delay_draw, gain_draw = torch.rand(2, generator=generator).tolist()
    delay = round(_ECHO_FRAMES[0] + delay_draw * (_ECHO_FRAMES[1] - _ECHO_FRAMES[0]))
    power = (2 * mel).exp()
    gain = (_ECHO_GAIN[0] + gain_draw * (_ECHO_GAIN[1] - _ECHO_GAIN[0])) ** 2
    for start in range(delay, len(power), delay):  # the previous block already contains its own echoes
        block = power[start : start + delay]
        block += gain * power[start - delay : start - delay + len(block)]
    return power.log() / 2


def _add_noise(mel: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Add steady noise of random level and spectral slope."""
    level, slope = torch.rand(2, generator=generator).tolist()
    signal = mel.exp().square().mean().log() / 2
    ratio_db = _NOISE_DB[0] + level * (_NOISE_DB[1] - _NOISE_DB[0])
    tilt = torch.linspace(1, -1, mel.shape[1]) * 2 * (2 * slope - 1)
    grain = 0.4 * torch.randn(mel.shape, generator=generator)
    noise = signal - ratio_db / _DB + tilt + grain
    return torch.logaddexp(2 * mel, 2 * noise) / 2


def _mask_bands(mel: torch.Tensor, masks: int, generator: torch.Generator) -> torch.Tensor:
    """Set bands of time and of frequency to 0, the mean (SpecAugment, Park et al. 2019)."""
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
