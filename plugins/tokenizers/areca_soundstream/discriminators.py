"""The discriminators of SoundStream (section III.D): three of the wave, one of the complex spectrum."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from areca.fitting.adversarial import Discriminators, Verdict
from areca_soundstream.options import SoundStreamConfig

_SLOPE = 0.2
_WINDOW, _HOP = 1_024, 256
_MULTIPLIERS = (2, 2, 1, 2, 1, 2)
"""Growth of the channels in each residual block; the strides of time and frequency alternate (1, 2) and (2, 2)."""


class WaveDiscriminator(nn.Module):
    """A discriminator of the wave at a lower rate, as in MelGAN (Kumar et al. 2019, arXiv 1910.06711, appendix A).

    Args:
        width: channels of the first layer, a multiple of 4.
        factor: the audio is averaged to this part of its rate: 1, 2 or 4.
    """

    def __init__(self, width: int, factor: int) -> None:
        super().__init__()
        self._halvings = factor.bit_length() - 1
        layers: list[nn.Module] = [nn.Conv1d(1, width, 15, padding=7)]
        for growth in (4, 4, 4, 1):
            layers.append(nn.Conv1d(width, growth * width, 41, 4, padding=20, groups=width // 4))
            width *= growth
        layers.append(nn.Conv1d(width, width, 5, padding=2))
        self.layers = nn.ModuleList(weight_norm(layer) for layer in layers)
        self.out = weight_norm(nn.Conv1d(width, 1, 3, padding=1))

    def forward(self, audio: torch.Tensor) -> Verdict:
        """Judge audio, float32 ``[B, 1, T]``."""
        for _ in range(self._halvings):
            audio = functional.avg_pool1d(audio, 4, 2, padding=1, count_include_pad=False)
        features = []
        for layer in self.layers:
            audio = functional.leaky_relu(layer(audio), _SLOPE)
            features.append(audio)
        return Verdict(self.out(audio), tuple(features))


class _Block(nn.Module):
    """A residual block of the STFT discriminator: ``[B, C, T, F]`` to ``[B, D, T / stride, F / 2]``."""

    def __init__(self, width: int, growth: int, stride: int) -> None:
        super().__init__()
        kernel = (3, 4) if stride == 1 else (4, 4)
        self._stride = (stride, 2)
        self.inner = nn.Conv2d(width, width, 3, padding=1)
        self.outer = nn.Conv2d(width, growth * width, kernel, self._stride, padding=1)
        self.shortcut = nn.Conv2d(width, growth * width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = self.outer(functional.elu(self.inner(functional.elu(x))))
        shortcut: torch.Tensor = self.shortcut(functional.avg_pool2d(x, self._stride))
        return shortcut + added


class StftDiscriminator(nn.Module):
    """A discriminator of the complex spectrum.

    Args:
        width: channels of the first layer.
    """

    window: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(_WINDOW), persistent=False)
        layers: list[nn.Module] = [nn.Conv2d(2, width, 7, padding=3)]
        for number, growth in enumerate(_MULTIPLIERS):
            layers.append(_Block(width, growth, 1 + number % 2))
            width *= growth
        self.layers = nn.ModuleList(layers)
        self.out = nn.Conv2d(width, 1, (1, _WINDOW // 2 >> len(_MULTIPLIERS)))

    def forward(self, audio: torch.Tensor) -> Verdict:
        """Judge audio, float32 ``[B, 1, T]``, T at least 2,048."""
        spectrum = torch.stft(
            audio[:, 0], _WINDOW, _HOP, window=self.window, pad_mode="constant", normalized=True, return_complex=True
        )
        x = torch.view_as_real(spectrum[:, :-1]).permute(0, 3, 2, 1)  # [B, 2, T, F], without the highest bin
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return Verdict(self.out(functional.elu(x)), tuple(features))


def build_discriminators(config: SoundStreamConfig) -> Discriminators:
    """Return the discriminators: of the wave at its rate, half and a quarter of it, and of the spectrum."""
    waves = [WaveDiscriminator(config.wave_width, factor) for factor in (1, 2, 4)]
    return Discriminators([*waves, StftDiscriminator(config.stft_width)])
