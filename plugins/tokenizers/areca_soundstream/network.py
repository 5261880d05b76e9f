"""The causal encoder and decoder of SoundStream (sections III.A and III.B), whole or in pieces.

A convolution sees only earlier samples. Before the first sample there are zeros.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from areca.fitting.residual import quantize, reconstruct
from areca_soundstream.options import SoundStreamConfig

_KERNEL = 7
_LAST_KERNEL = 3
_DILATIONS = (1, 3, 9)

Past = dict[nn.Module, torch.Tensor]
"""The last inputs of each convolution, from the pieces of a signal so far; empty before the first piece."""


def _prepend(module: nn.Module, x: torch.Tensor, count: int, past: Past | None) -> torch.Tensor:
    """Return ``[B, C, T]`` after the last `count` inputs of `module`, and update `past`. None: there is one piece."""
    joined = functional.pad(x, (count, 0)) if past is None or module not in past else torch.cat((past[module], x), -1)
    if past is not None:
        past[module] = joined[..., joined.shape[-1] - count :].clone()  # not a view, which would keep all inputs
    return joined


class CausalConv(nn.Module):
    """A convolution of ``[B, C, T]`` to ``[B, D, T / stride]``, for T divisible by the stride."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, dilation=dilation)
        self._reach = (kernel - 1) * dilation + 1 - stride

    def forward(self, x: torch.Tensor, past: Past | None = None) -> torch.Tensor:
        """Convolve the next piece of the signal."""
        y: torch.Tensor = self.conv(_prepend(self, x, self._reach, past))
        return y


class CausalUpsampling(nn.Module):
    """A transposed convolution of ``[B, C, T]`` to ``[B, D, T * stride]``, with a kernel of twice the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(inputs, outputs, 2 * stride, stride)
        self._stride = stride

    def forward(self, x: torch.Tensor, past: Past | None = None) -> torch.Tensor:
        """Convolve the next piece of the signal."""
        y: torch.Tensor = self.conv(_prepend(self, x, 1, past))
        return y[..., self._stride : -self._stride]


class Unit(nn.Module):
    """A residual unit: a dilated convolution and one of kernel 1, each after an ELU."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = CausalConv(width, width, _KERNEL, dilation=dilation)
        self.mix = CausalConv(width, width, 1)

    def forward(self, x: torch.Tensor, past: Past | None = None) -> torch.Tensor:
        """Map the next piece ``[B, width, T]`` to the same shape."""
        added: torch.Tensor = self.mix(functional.elu(self.conv(functional.elu(x), past)), past)
        return x + added


class Activation(nn.Module):
    """An ELU."""

    def forward(self, x: torch.Tensor, past: Past | None = None) -> torch.Tensor:
        """Map the next piece to the same shape."""
        return functional.elu(x)


class Chain(nn.Module):
    """Modules that follow each other."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.chain = nn.ModuleList(modules)

    def forward(self, x: torch.Tensor, past: Past | None = None) -> torch.Tensor:
        """Map the next piece of the signal.

        Args:
            x: the piece, ``[B, C, T]``.
            past: what the earlier pieces left; updated. None: `x` is the whole signal.
        """
        for module in self.chain:
            x = module(x, past)
        return x


def _units(width: int) -> list[nn.Module]:
    return [Unit(width, dilation) for dilation in _DILATIONS]


def build_encoder(config: SoundStreamConfig) -> Chain:
    """Return the encoder of audio ``[B, 1, F * hop]`` to vectors ``[B, dimension, F]``."""
    width = config.width
    layers: list[nn.Module] = [CausalConv(1, width, _KERNEL)]
    for stride in config.strides:
        layers += [*_units(width), Activation(), CausalConv(width, 2 * width, 2 * stride, stride)]
        width *= 2
    return Chain(*layers, Activation(), CausalConv(width, config.dimension, _LAST_KERNEL))


def build_decoder(config: SoundStreamConfig) -> Chain:
    """Return the decoder of vectors ``[B, dimension, F]`` to audio ``[B, 1, F * hop]``."""
    width = config.width << len(config.strides)
    layers: list[nn.Module] = [CausalConv(config.dimension, width, _KERNEL)]
    for stride in reversed(config.strides):
        layers += [Activation(), CausalUpsampling(width, width // 2, stride), *_units(width // 2)]
        width //= 2
    return Chain(*layers, Activation(), CausalConv(width, 1, _KERNEL))


class Codec(nn.Module):
    """Encoder, decoder and codebooks ``[levels, codebook_size, dimension]``."""

    codebooks: torch.Tensor

    def __init__(self, config: SoundStreamConfig) -> None:
        super().__init__()
        self.encoder, self.decoder = build_encoder(config), build_decoder(config)
        self.register_buffer("codebooks", torch.zeros(config.levels, config.codebook_size, config.dimension))

    def encode(self, samples: torch.Tensor, levels: int, past: Past) -> torch.Tensor:
        """Return the codes, int64 ``[levels, F]``, of the next samples, ``[F * hop]``."""
        vectors = self.encoder(samples[None, None], past)[0].T
        return quantize(vectors, self.codebooks[:levels])

    def decode(self, codes: torch.Tensor, past: Past) -> torch.Tensor:
        """Return the samples ``[F * hop]`` in [-1, 1] of the next codes, int64 ``[K, F]``, of the first K levels."""
        vectors = reconstruct(codes, self.codebooks[: len(codes)])
        samples: torch.Tensor = self.decoder(vectors.T[None], past)[0, 0]
        return samples.clamp(-1, 1)
