"""A small speech encoder: convolutions down to 25 Hz, then residual layers of them. Padding changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import nn
from torch.nn import functional

from areca_units.features import MEL
from areca_units.options import EncoderConfig

_STEM_KERNEL, _STRIDE = 5, 2
_CONTEXT_KERNEL, _CONTEXT_GROUPS = 31, 16


class Encoder(nn.Module):
    """Features ``[B, T, inputs]`` at 100 Hz to hidden states ``[B, ceil(T / 4), width]`` at 25 Hz.

    Args:
        inputs: columns of the features.
        width: channels of the hidden states.
        layers: number of residual layers.
        heads: attention heads of each layer, which divide `width`; 0: convolutions alone.
        kernel: frames of 40 ms that a layer's convolution sees, an odd number.
        expansion: channels inside a layer, in widths.
        dropout: share of residual activations dropped in training.
    """

    def __init__(
        self, *, inputs: int, width: int, layers: int, heads: int, kernel: int, expansion: int, dropout: float
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, width, _STEM_KERNEL, _STRIDE, padding=_STEM_KERNEL // 2) for channels in (inputs, width)
        )
        self.context = _Context(width)
        self.layers = nn.ModuleList(_Layer(width, heads, kernel, expansion, dropout) for _ in range(layers))
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
        x, lengths = self.subsampled(features, lengths)
        *_, x = islice(self.states(x, lengths), layer)
        return _normalised(x, lengths), lengths

    def subsampled(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the first convolutions make of `features`, ``[B, ceil(T / 4), width]``, and the lengths."""
        x = _masked(features, inside(lengths, features.shape[1])).transpose(1, 2)
        for convolution in self.convolutions:
            lengths = (lengths + _STRIDE - 1) // _STRIDE
            x = functional.gelu(convolution(x)).transpose(1, 2)
            # Its bias and activation write into the padding, where the next convolution would see them.
            x = _masked(x, inside(lengths, x.shape[1])).transpose(1, 2)
        return x.transpose(1, 2), lengths

    def states(self, x: torch.Tensor, lengths: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the state ``[B, F, width]`` after each layer, from what `subsampled` returned."""
        there = inside(lengths, x.shape[1])
        x = self.dropout(x + self.context(x))
        for block in self.layers:
            x = block(x, there)
            yield x


def _normalised(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(x, x.shape[-1:]) * inside(lengths, x.shape[1])[..., None]


def encoder_of(config: EncoderConfig) -> Encoder:
    """Return the encoder of log-mels that `config` describes."""
    return Encoder(
        inputs=MEL.mels,
        width=config.width,
        layers=config.layers,
        heads=config.heads,
        kernel=config.kernel,
        expansion=config.expansion,
        dropout=config.dropout,
    )


class _Context(nn.Module):
    """A wide grouped convolution: with attention it is what tells positions (Baevski et al. 2020, section 2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        groups = _CONTEXT_GROUPS if width % _CONTEXT_GROUPS == 0 else 1
        self.convolution = nn.Conv1d(width, width, _CONTEXT_KERNEL, padding=_CONTEXT_KERNEL // 2, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        context: torch.Tensor = functional.gelu(self.convolution(x.transpose(1, 2)).transpose(1, 2))
        return context


class _Layer(nn.Module):
    """Attention, if there are heads, and a convolutional feed-forward, each on normalised input and added.

    As in the Conformer (Gulati et al. 2020), with one full convolution in place of its two feed-forwards and a
    depthwise one, and without its batch norm: statistics of a batch would let neighbours change an item.
    """

    def __init__(self, width: int, heads: int, kernel: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.attention = _Attention(width, heads) if heads else None
        self.norm = nn.LayerNorm(width)
        self.up = nn.Conv1d(width, expansion * width, kernel, padding=kernel // 2)
        self.down = nn.Linear(expansion * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        if self.attention is not None:
            x = x + self.dropout(self.attention(x, there))
        normal = _masked(self.norm(x), there).transpose(1, 2)
        added: torch.Tensor = self.dropout(self.down(functional.silu(self.up(normal)).transpose(1, 2)))
        return x + added


class _Attention(nn.Module):
    """Self-attention on normalised input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        batch, frames, width = x.shape
        query, key, value = self.mix(self.norm(x)).view(batch, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=there[:, None, None, :])
        result: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(batch, frames, width))
        return result


def inside(lengths: torch.Tensor, frames: int) -> torch.Tensor:
    """Return bool ``[B, frames]``: which frames belong to their item."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def _masked(x: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """Return ``[B, T, D]`` with zeros where `there`, bool ``[B, T]``, is false."""
    return x.masked_fill(~there[..., None], 0.0)
