"""The networks: units to log-mel, and units to durations. Both are residual dilated convolutions.

Padding is masked in every layer, so that it does not change the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from areca.fitting.blocks import Blocks
from areca.fitting.durations import DurationNet
from areca.mel import SPEECH


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that determine the shapes of the weights.

    Args:
        units: number of distinct units.
        frames_per_unit: mel frames per unit at the base rate.
        width: channels.
        layers: blocks at the units' rate.
        fine_layers: blocks at the rate of mel frames.
        longest: longest duration to predict, in frames of the base rate; None: units have a constant rate.
    """

    units: int
    frames_per_unit: int
    width: int
    layers: int
    fine_layers: int
    longest: int | None


class MelNet(nn.Module):
    """A network from units at their base rate to log-mel frames."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.stack = shape.frames_per_unit
        self.embedding = nn.Embedding(shape.units, shape.width)
        self.coarse = Blocks(shape.width, shape.layers)
        self.spread = nn.Conv1d(shape.width, shape.width * self.stack, 1)
        self.fine = Blocks(shape.width, shape.fine_layers)
        self.out = nn.Conv1d(shape.width, SPEECH.mels, 1)
        self.register_buffer("mean", torch.zeros(SPEECH.mels, 1))
        self.register_buffer("deviation", torch.ones(SPEECH.mels, 1))

    def forward(self, units: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return log-mels ``[B, 80, U * frames_per_unit]`` of units, int64 ``[B, U]``, masked by float32 ``[B, U]``."""
        x = self.coarse(self.embedding(units).transpose(1, 2), mask[:, None])
        batch, _, count = x.shape
        # Split the channels of each unit into its frames: [B, width * stack, U] to [B, width, U * stack].
        x = self.spread(x).view(batch, -1, self.stack, count).transpose(2, 3).reshape(batch, -1, count * self.stack)
        x = self.fine(x, mask[:, None].repeat_interleave(self.stack, -1))
        mel: torch.Tensor = self.out(x)
        return mel * self.deviation + self.mean

    @property
    def reach(self) -> int:
        """Units on either side that a unit's log-mels depend on."""
        return self.coarse.reach + math.ceil(self.fine.reach / self.stack)


class Voice(nn.Module):
    """The networks of `unit-mel`: units to log-mel, and durations if the units have a variable rate."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.mel = MelNet(shape)
        self.duration = None if shape.longest is None else DurationNet(shape.units, shape.longest)
