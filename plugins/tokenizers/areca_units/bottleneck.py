"""Quantizers between an encoder and its head, trained with them: the head reads one of K codes per frame."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import nn
from torch.nn import functional

from areca_units.options import UsmV2Config

_TEMPERATURE = 0.5
_DIVERSITY = 0.1
"""Weight of the diversity loss, which keeps all codes in use (Baevski et al. 2020, eq. 4)."""
_INSIDE = 1 - 1e-3
"""Share of a dimension's range that `tanh` is scaled to, so that every value rounds to a code."""


class Bottleneck(ABC, nn.Module):
    """Maps hidden states to points of few dimensions, to the nearest codes, and back to hidden states.

    Args:
        width: channels of the hidden states.
        dim: dimensions D of a code.
    """

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, dim)
        # A linear map from few dimensions could not give each code an independent meaning.
        self.up = nn.Sequential(nn.Linear(dim, width), nn.GELU(), nn.Linear(width, width))

    @abstractmethod
    def codes(self) -> torch.Tensor:
        """Return the codes ``[K, D]``."""

    @abstractmethod
    def points(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the points to quantize, ``[..., D]``. The index of the nearest code is the unit."""

    @abstractmethod
    def quantize(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the nearest codes, ``[..., D]``, with a straight-through gradient, and an auxiliary loss, a scalar."""

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return hidden states ``[..., width]`` that depend only on the codes, and an auxiliary loss, a scalar."""
        quantized, auxiliary_loss = self.quantize(self.points(hidden))
        return self.up(quantized), auxiliary_loss


class Vq(Bottleneck):
    """Trained codes of equal length (Yu et al. 2022, section 3.2), selected by a straight-through softmax.

    Args:
        width: channels of the hidden states.
        dim: dimensions D of a code.
        codes: number of codes K.
    """

    def __init__(self, width: int, dim: int, codes: int) -> None:
        super().__init__(width, dim)
        self.directions = nn.Parameter(torch.randn(codes, dim))

    def codes(self) -> torch.Tensor:
        """Return the codes ``[K, D]``."""
        return _rescale(self.directions)

    def points(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return points ``[..., D]`` of the same length as the codes."""
        return _rescale(self.down(hidden))

    def quantize(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the nearest codes, and the diversity loss."""
        codes = self.codes()
        soft = (points @ codes.T / (points.shape[-1] * _TEMPERATURE)).softmax(-1)
        hard = functional.one_hot(soft.argmax(-1), len(codes)).to(soft.dtype)
        return (hard + soft - soft.detach()) @ codes, _DIVERSITY * unevenness(soft.flatten(0, -2).mean(0))


class Fsq(Bottleneck):
    """A fixed grid of codes: each dimension is rounded to one of a few values (FSQ, Mentzer et al. 2023).

    Args:
        width: channels of the hidden states.
        levels: number of values in each dimension.
    """

    levels: torch.Tensor

    def __init__(self, width: int, levels: tuple[int, ...]) -> None:
        super().__init__(width, len(levels))
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.float32))

    def codes(self) -> torch.Tensor:
        """Return the grid ``[K, D]``; the last dimension varies fastest."""
        values = [torch.arange(n, device=self.levels.device) for n in self.levels.long().tolist()]
        return torch.cartesian_prod(*values).view(-1, len(values)) - (self.levels - 1) / 2

    def points(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return points ``[..., D]`` less than half a step outside the grid."""
        return torch.tanh(self.down(hidden)) * _INSIDE * self.levels / 2

    def quantize(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the nearest codes, and 0: this bottleneck has no auxiliary loss."""
        middle = (self.levels - 1) / 2
        nearest = (points + middle).round() - middle
        return points + (nearest - points).detach(), points.new_zeros(())


def build_bottleneck(config: UsmV2Config) -> Bottleneck | None:
    """Return the configured quantizer, or None if units are clustered after training."""
    if config.quantizer == "vq":
        return Vq(config.width, config.code_dim, config.clusters)
    return Fsq(config.width, config.levels) if config.quantizer == "fsq" else None


def _rescale(x: torch.Tensor) -> torch.Tensor:
    """Scale vectors ``[..., D]`` to length sqrt(D), so that their mean square is 1, as in the hidden states."""
    return functional.normalize(x, dim=-1) * math.sqrt(x.shape[-1])


def unevenness(shares: torch.Tensor) -> torch.Tensor:
    """Return how unevenly codes are used: 0 for equal shares, 1 if one code has all. `shares` is float ``[K]``."""
    return 1 + (shares * (shares + 1e-7).log()).sum() / torch.tensor(float(len(shares))).log()
