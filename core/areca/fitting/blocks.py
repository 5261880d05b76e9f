"""Residual dilated convolutions for small networks. Padding is masked in every layer, so it changes no result."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

_KERNEL = 5
DILATIONS = (1, 2, 4)
"""Dilations of consecutive blocks, repeated."""


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
        self.blocks = nn.ModuleList(Block(width, DILATIONS[i % len(DILATIONS)]) for i in range(layers))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ``[B, width, T]``, with the mask ``[B, 1, T]``, to the same shape."""
        for block in self.blocks:
            x = block(x, mask)
        return x

    @property
    def reach(self) -> int:
        """Frames on either side that a result depends on."""
        dilations = (DILATIONS[i % len(DILATIONS)] for i in range(len(self.blocks)))
        return _KERNEL // 2 * sum(dilations)
