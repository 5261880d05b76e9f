"""A small speech encoder: convolutions down to 25 Hz, then pre-norm transformer layers. Padding changes nothing."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

_KERNEL, _STRIDE = 5, 2
_POSITION_KERNEL, _POSITION_GROUPS = 31, 16
_EXPANSION = 4


class Encoder(nn.Module):
    """Features ``[B, T, inputs]`` at 100 Hz to hidden states ``[B, ceil(T / 4), width]`` at 25 Hz.

    Args:
        inputs: columns of the features.
        width: channels of the hidden states.
        layers: number of transformer layers.
        heads: attention heads; they divide `width`.
        dropout: share of residual activations dropped in training.
    """

    def __init__(self, *, inputs: int, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, width, _KERNEL, _STRIDE, padding=_KERNEL // 2) for channels in (inputs, width)
        )
        self.position = _ConvPosition(width)
        self.layers = nn.ModuleList(_Layer(width, heads, dropout) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, features: torch.Tensor, lengths: torch.Tensor, layer: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the hidden states after `layer` (None: the last) and their lengths.

        Args:
            features: float32 ``[B, T, inputs]``; what lies beyond an item's length is ignored.
            lengths: int64 ``[B]``.
            layer: the layer to stop after, counted from 1.

        Returns:
            float32 ``[B, ceil(T / 4), width]`` of zero mean and unit variance in each frame, zero beyond an item's
            length; and int64 ``[B]``.
        """
        x = _masked(features, lengths).transpose(1, 2)
        for convolution in self.convolutions:
            lengths = (lengths + _STRIDE - 1) // _STRIDE
            # Its bias and activation write into the padding, where the next convolution would see them.
            x = _masked(functional.gelu(convolution(x)).transpose(1, 2), lengths).transpose(1, 2)
        x = x.transpose(1, 2)
        x = self.dropout(x + self.position(x))
        visible = _inside(lengths, x.shape[1])
        for block in self.layers[:layer]:
            x = block(x, visible[:, None, None, :])
        return functional.layer_norm(x, x.shape[-1:]) * visible[..., None], lengths


class _ConvPosition(nn.Module):
    """Positions from a wide grouped convolution (Baevski et al. 2020, section 2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        groups = _POSITION_GROUPS if width % _POSITION_GROUPS == 0 else 1
        self.convolution = nn.Conv1d(width, width, _POSITION_KERNEL, padding=_POSITION_KERNEL // 2, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        positions: torch.Tensor = functional.gelu(self.convolution(x.transpose(1, 2)).transpose(1, 2))
        return positions


class _Layer(nn.Module):
    """Self-attention, then feed-forward, each on normalised input and added (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, _EXPANSION * width), nn.Linear(_EXPANSION * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        x = x + self.dropout(self._attend(self.attention_norm(x), visible))
        fed: torch.Tensor = self.dropout(self.down(functional.gelu(self.up(self.feed_norm(x)))))
        return x + fed

    def _attend(self, x: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        batch, frames, width = x.shape
        query, key, value = self.mix(x).view(batch, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        result: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(batch, frames, width))
        return result


def _inside(lengths: torch.Tensor, frames: int) -> torch.Tensor:
    """Return bool ``[B, frames]``: which frames belong to their item."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def _masked(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return ``[B, T, D]`` with zeros beyond each item's length."""
    inside = _inside(lengths, x.shape[1])
    return x.masked_fill(~inside[..., None], 0.0)
