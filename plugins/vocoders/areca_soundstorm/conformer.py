"""A Conformer (Gulati et al. 2020) with rotary positions (Su et al. 2021), whose items do not depend on their batch.

In place of batch normalisation, whose statistics would depend on the batch, the convolution module normalises each
frame.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

_SLOWEST = 10_000.0
"""Base of the rotation's periods."""


class Conformer(nn.Module):
    """Several Conformer blocks.

    Args:
        layers: number of blocks.
        heads: attention heads of a block.
        width: size of the hidden states.
        feed_forward: size of the hidden layers of feed-forward modules.
        kernel: frames that a convolution covers, an odd number.
        expansion: channels of the convolution, as a multiple of `width`.
        rotary: whether attention encodes positions.
        dropout: share of each module's output that is dropped in training.
    """

    def __init__(
        self,
        *,
        layers: int,
        heads: int,
        width: int,
        feed_forward: int,
        kernel: int,
        expansion: int,
        rotary: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.head_size = width // heads if rotary else 0
        self.blocks = nn.ModuleList(
            _Block(width, heads, feed_forward, kernel, expansion * width, dropout) for _ in range(layers)
        )

    def forward(self, x: torch.Tensor, valid: torch.Tensor | None, wanted: torch.Tensor) -> torch.Tensor:
        """Return the hidden states of some frames.

        What only other frames need is not computed: the last feed-forward module sees the wanted frames only.

        Args:
            x: float32 ``[B, T, width]``.
            valid: the frames that are not padding, bool ``[B, T]``; None: all.
            wanted: the frames to return, bool ``[B, T]``.

        Returns:
            float32 ``[N, width]`` for N wanted frames, in the order of `wanted`.
        """
        rotation = _rotation(x.shape[1], self.head_size, x.device) if self.head_size else None
        *first, last = self.blocks
        for block in first:
            x = block(x, valid, rotation)
        states: torch.Tensor = last(x, valid, rotation, wanted)
        return states


class _Block(nn.Module):
    """Half a feed-forward module, attention, convolution, another half, and a norm (section 2.4)."""

    def __init__(self, width: int, heads: int, feed_forward: int, kernel: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.first = _feed_forward(width, feed_forward, dropout)
        self.attention = _Attention(width, heads, dropout)
        self.convolution = _Convolution(width, channels, kernel, dropout)
        self.second = _feed_forward(width, feed_forward, dropout)
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        x: torch.Tensor,
        valid: torch.Tensor | None,
        rotation: torch.Tensor | None,
        wanted: torch.Tensor | None = None,
    ) -> torch.Tensor:
        x = x + 0.5 * self.first(x)
        x = x + self.attention(x, valid, rotation)
        x = x + self.convolution(x, valid)
        if wanted is not None:
            x = x[wanted]
        x = x + 0.5 * self.second(x)
        result: torch.Tensor = self.norm(x)
        return result


def _feed_forward(width: int, hidden: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, hidden),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, width),
        nn.Dropout(dropout),
    )


class _Attention(nn.Module):
    """Pre-norm multi-head self-attention over valid frames."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, valid: torch.Tensor | None, rotation: torch.Tensor | None) -> torch.Tensor:
        batch, frames, width = x.shape
        query, key, value = self.mix(self.norm(x)).view(batch, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if rotation is not None:
            query, key = _rotate(query, rotation), _rotate(key, rotation)
        mask = None if valid is None else valid[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        result: torch.Tensor = self.dropout(self.out(mixed.transpose(1, 2).reshape(batch, frames, width)))
        return result


class _Convolution(nn.Module):
    """A gated pointwise convolution, a depthwise one, and a pointwise one (section 2.2), pre-norm."""

    def __init__(self, width: int, channels: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gated = nn.Linear(width, 2 * channels)
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.inner_norm = nn.LayerNorm(channels)
        self.out = nn.Linear(channels, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        gated = functional.glu(self.gated(self.norm(x)), dim=-1)
        if valid is not None:
            gated = gated.masked_fill(~valid[..., None], 0.0)
        spread = self.depthwise(gated.transpose(1, 2)).transpose(1, 2)
        result: torch.Tensor = self.dropout(self.out(functional.silu(self.inner_norm(spread))))
        return result


def _rotation(frames: int, size: int, device: torch.device) -> torch.Tensor:
    """Return cosines and sines of each position's angles, float32 ``[2, frames, size / 2]``."""
    speeds = _SLOWEST ** (-torch.arange(0, size, 2, device=device, dtype=torch.float32) / size)
    angles = torch.arange(frames, device=device, dtype=torch.float32)[:, None] * speeds
    return torch.stack((angles.cos(), angles.sin()))


def _rotate(x: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """Rotate the pairs (i, i + size / 2) of vectors ``[B, H, T, size]`` by the angles of their positions."""
    cosine, sine = rotation
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), dim=-1)
