"""The networks: units to log-mel, and units to durations. Both are residual dilated convolutions.

Padding is masked in every layer, so that it does not change the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from areca.mel import SPEECH

_KERNEL = 5
_DILATIONS = (1, 2, 4)
_DURATION_WIDTH = 96


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


class Block(nn.Module):
    """A residual block, ``x + mix(gelu(conv(normalise(x))))``; initially the identity."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, _KERNEL, padding="same", dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)
        nn.init.zeros_(self.mix.weight)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ``[B, width, T]``, with the mask ``[B, 1, T]``, to the same shape."""
        normal = x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-5)
        added: torch.Tensor = self.mix(functional.gelu(self.conv(normal * mask)))
        return x + added


class Blocks(nn.Module):
    """Several blocks with alternating dilations."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, _DILATIONS[i % len(_DILATIONS)]) for i in range(layers))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ``[B, width, T]``, with the mask ``[B, 1, T]``, to the same shape."""
        for block in self.blocks:
            x = block(x, mask)
        return x

    @property
    def reach(self) -> int:
        """Frames on either side that a result depends on."""
        dilations = (_DILATIONS[i % len(_DILATIONS)] for i in range(len(self.blocks)))
        return _KERNEL // 2 * sum(dilations)


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


class DurationNet(nn.Module):
    """A network from deduplicated units to the distribution of each unit's duration."""

    def __init__(self, units: int, longest: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(units, _DURATION_WIDTH)
        self.blocks = Blocks(_DURATION_WIDTH, len(_DILATIONS))
        self.out = nn.Conv1d(_DURATION_WIDTH, longest, 1)

    def forward(self, units: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return logits ``[B, longest, U]`` of durations from 1 of units, int64 ``[B, U]``, masked by ``[B, U]``."""
        logits: torch.Tensor = self.out(self.blocks(self.embedding(units).transpose(1, 2), mask[:, None]))
        return logits

    def predict(self, units: torch.Tensor) -> torch.Tensor:
        """Return the durations, int64 ``[U]``, at least 1, of units, int64 ``[U]``.

        A duration is the expectation of its distribution. The ends of the units are rounded, not the durations: most
        durations are just above 1, so rounding each of them would make the speech faster.
        """
        expected = self.expect(units)
        return durations_of(expected, torch.zeros(1, dtype=torch.float64))[0]

    def expect(self, units: torch.Tensor) -> torch.Tensor:
        """Return the expected duration of each unit, float32 ``[U]``, for units, int64 ``[U]``."""
        probabilities = self(units[None], torch.ones_like(units[None], dtype=torch.float32))[0].softmax(0)
        frames = torch.arange(1, len(probabilities) + 1, device=units.device, dtype=probabilities.dtype)
        expected: torch.Tensor = frames @ probabilities
        return expected

    @property
    def reach(self) -> int:
        """Units on either side that a duration depends on."""
        return self.blocks.reach


def durations_of(expected: torch.Tensor, end: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round the ends of units.

    Args:
        expected: expected duration of each unit, ``[U]``.
        end: end of the unit before them, float64 ``[1]``, on the CPU: MPS has no float64.

    Returns:
        durations, int64 ``[U]``, at least 1, and the end of the last unit, float64 ``[1]``.
    """
    ends = torch.cat((end, expected.cpu().double())).cumsum(0)
    return ends.round().long().diff().clamp(min=1).to(expected.device), ends[-1:]


class Voice(nn.Module):
    """The networks of `unit-mel`: units to log-mel, and durations if the units have a variable rate."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.mel = MelNet(shape)
        self.duration = None if shape.longest is None else DurationNet(shape.units, shape.longest)
