"""The discriminators: multi-period (section 2.3, table 6) and multi-scale (MelGAN, Kumar et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from areca.fitting.adversarial import Discriminators, Verdict

PERIODS = (2, 3, 5, 7, 11)
SCALES = 3
FULL_CHANNELS = 1_024
"""Channels of the widest layers in the paper."""
_SLOPE = 0.1

_PERIOD_CHANNELS = (32, 128, 512, 1_024, 1_024)
_SCALE_LAYERS = (
    (128, 15, 1, 1),
    (128, 41, 2, 4),
    (256, 41, 2, 16),
    (512, 41, 4, 16),
    (1_024, 41, 4, 16),
    (1_024, 41, 1, 16),
    (1_024, 5, 1, 1),
)
"""Channels, kernel, stride and groups of each layer of a scale's discriminator."""

Norm = Callable[[nn.Module], nn.Module]


class _Layers(nn.Module):
    """Convolutions whose outputs are the features, and one that gives the logits."""

    def __init__(self, layers: Sequence[nn.Module], out: nn.Module, norm: Norm) -> None:
        super().__init__()
        self.layers = nn.ModuleList(map(norm, layers))
        self.out = norm(out)

    def forward(self, x: torch.Tensor) -> Verdict:
        """Return the verdict on ``[B, 1, ...]``."""
        features = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), _SLOPE)
            features.append(x)
        return Verdict(self.out(x), tuple(features))


class PeriodDiscriminator(nn.Module):
    """Sees audio as a picture whose columns are the samples at one phase of a period.

    Args:
        period: in samples.
        channels: of the widest layer.
    """

    def __init__(self, period: int, channels: int) -> None:
        super().__init__()
        self.period = period
        sizes = [1, *(_scaled(c, channels) for c in _PERIOD_CHANNELS)]
        strides = [3] * (len(_PERIOD_CHANNELS) - 1) + [1]
        layers = [
            nn.Conv2d(a, b, (5, 1), (stride, 1), padding=(2, 0))
            for a, b, stride in zip(sizes, sizes[1:], strides, strict=False)
        ]
        self.layers = _Layers(layers, nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0)), weight_norm)

    def forward(self, audio: torch.Tensor) -> Verdict:
        """Return the verdict on audio, float32 ``[B, 1, T]``."""
        padded = functional.pad(audio, (0, -audio.shape[-1] % self.period), mode="reflect")
        verdict: Verdict = self.layers(padded.reshape(*audio.shape[:-1], -1, self.period))
        return verdict


class ScaleDiscriminator(nn.Module):
    """Sees audio at its rate, or at half or a quarter of it.

    Args:
        halvings: number of poolings before the layers; without one, the weights have spectral norm.
        channels: of the widest layer.
    """

    def __init__(self, halvings: int, channels: int) -> None:
        super().__init__()
        self.halvings = halvings
        layers, before = [], 1
        for full, kernel, stride, groups in _SCALE_LAYERS:
            after = _scaled(full, channels)
            groups = math.gcd(groups, before, after)
            layers.append(nn.Conv1d(before, after, kernel, stride, padding=kernel // 2, groups=groups))
            before = after
        norm = weight_norm if halvings else spectral_norm
        self.layers = _Layers(layers, nn.Conv1d(before, 1, 3, padding=1), norm)

    def forward(self, audio: torch.Tensor) -> Verdict:
        """Return the verdict on audio, float32 ``[B, 1, T]``."""
        for _ in range(self.halvings):
            audio = functional.avg_pool1d(audio, 4, 2, padding=2)
        verdict: Verdict = self.layers(audio)
        return verdict


def _scaled(full: int, channels: int) -> int:
    """Return a layer's channels if the widest has `channels`."""
    return max(1, full * channels // FULL_CHANNELS)


def build_discriminators(channels: int, seed: int) -> Discriminators:
    """Return the paper's five discriminators of periods and three of scales, with weights drawn from `seed`.

    Args:
        channels: of the widest layers: `FULL_CHANNELS` in the paper, with 70 M parameters and most of the training
            time, which is proportional to the square.
        seed: the only source of randomness.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        periods = [PeriodDiscriminator(p, channels) for p in PERIODS]
        return Discriminators([*periods, *(ScaleDiscriminator(k, channels) for k in range(SCALES))])
