"""Quantisers that are trained under an encoder's head: what the head reads has gone through one of K codes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import nn
from torch.nn import functional

from areca_units.options import UsmV2Config

_TEMPERATURE = 0.5
_DIVERSITY = 0.1
"""Weight of the loss that keeps all codes in use (Baevski et al. 2020, eq. 4)."""
_INSIDE = 1 - 1e-3
"""Share of a dimension's range that `tanh` reaches for: its end values stay within reach."""


class Bottleneck(ABC, nn.Module):
    """Hidden states to points of few dimensions, to the nearest code, and back.

    Args:
        width: channels of the hidden states.
        dim: dimensions D of a code.
    """

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, dim)
        # A linear map of few dimensions could not give each code a meaning of its own.
        self.up = nn.Sequential(nn.Linear(dim, width), nn.GELU(), nn.Linear(width, width))

    @abstractmethod
    def codes(self) -> torch.Tensor:
        """Return the codes ``[K, D]``."""

    @abstractmethod
    def points(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return what is quantised, ``[..., D]``: the nearest code is the unit."""

    @abstractmethod
    def quantised(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the codes of `points`, through which the gradient passes, and what is added to the loss."""

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return hidden states ``[..., width]`` that say no more than a code does, and what is added to the loss."""
        quantised, cost = self.quantised(self.points(hidden))
        return self.up(quantised), cost


class Vq(Bottleneck):
    """Learnt codes of one length (Yu et al. 2022, section 3.2), chosen by a straight-through softmax."""

    def __init__(self, width: int, dim: int, codes: int) -> None:
        super().__init__(width, dim)
        self.directions = nn.Parameter(torch.randn(codes, dim))

    def codes(self) -> torch.Tensor:
        """Return the codes ``[K, D]``."""
        return _spread(self.directions)

    def points(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return points as long as the codes."""
        return _spread(self.down(hidden))

    def quantised(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the nearest codes, and how unevenly they are used."""
        codes = self.codes()
        soft = (points @ codes.T / (points.shape[-1] * _TEMPERATURE)).softmax(-1)
        hard = functional.one_hot(soft.argmax(-1), len(codes)).to(soft.dtype)
        return (hard + soft - soft.detach()) @ codes, _DIVERSITY * unevenness(soft.flatten(0, -2).mean(0))


class Fsq(Bottleneck):
    """A grid of codes: each dimension is rounded to one of few values (Mentzer et al. 2023)."""

    levels: torch.Tensor

    def __init__(self, width: int, levels: tuple[int, ...]) -> None:
        super().__init__(width, len(levels))
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.float32))

    def codes(self) -> torch.Tensor:
        """Return the grid ``[K, D]``, its last dimension running fastest."""
        values = [torch.arange(n, device=self.levels.device) for n in self.levels.long().tolist()]
        return torch.cartesian_prod(*values).view(-1, len(values)) - (self.levels - 1) / 2

    def points(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return points that lie less than half a step beyond the grid."""
        return torch.tanh(self.down(hidden)) * _INSIDE * self.levels / 2

    def quantised(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the nearest codes; nothing is added to the loss."""
        middle = (self.levels - 1) / 2
        nearest = (points + middle).round() - middle
        return points + (nearest - points).detach(), points.new_zeros(())


def bottleneck_of(config: UsmV2Config) -> Bottleneck | None:
    """Return the quantiser that `config` asks for, or None where units are clustered after training."""
    if config.quantizer == "vq":
        return Vq(config.width, config.code_dim, config.clusters)
    return Fsq(config.width, config.levels) if config.quantizer == "fsq" else None


def _spread(x: torch.Tensor) -> torch.Tensor:
    """Return vectors ``[..., D]`` of length sqrt(D): a mean square of 1, as the hidden states have."""
    return functional.normalize(x, dim=-1) * math.sqrt(x.shape[-1])


def unevenness(shares: torch.Tensor) -> torch.Tensor:
    """Return 0 for codes of equal shares, float ``[K]``, up to 1 where one has all."""
    return 1 + (shares * (shares + 1e-7).log()).sum() / torch.tensor(float(len(shares))).log()
