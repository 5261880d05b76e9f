"""A small speech encoder: convolutions down to 25 Hz, then residual layers. Padding does not change its output."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import nn
from torch.nn import functional

from areca.batching import length_mask
from areca_units.features import MEL
from areca_units.options import EncoderConfig

_STEM_KERNEL, _STRIDE = 5, 2
_CONTEXT_KERNEL, _CONTEXT_GROUPS = 31, 16


class Encoder(nn.Module):
    """Encodes features ``[B, T, inputs]`` at 100 Hz as hidden states ``[B, ceil(T / 4), width]`` at 25 Hz.

    Args:
        inputs: dimensions of the features.
        width: channels of the hidden states.
        layers: number of residual layers.
        heads: attention heads of each layer; must divide `width` (0: only convolutions).
        kernel: kernel size of a layer's convolution in frames of 40 ms, an odd number.
        expansion: channels inside a layer, as a multiple of `width`.
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
        """Return the hidden states after a layer, and their lengths.

        Args:
            features: float32 ``[B, T, inputs]``; values beyond an item's length are ignored.
            lengths: frames of each item, int64 ``[B]``.
            layer: the layer to stop after, counted from 1 (default: the last).

        Returns:
            float32 ``[B, ceil(T / 4), width]`` with zero mean and unit variance in each frame, zero beyond an item's
            length; and the lengths, int64 ``[B]``.
        """
        x, lengths = self.subsample(features, lengths)
        *_, x = islice(self.iterate_states(x, lengths), layer)
        return _normalise_frames(x, lengths), lengths

    def subsample(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the output of the first convolutions, ``[B, ceil(T / 4), width]``, and the lengths, ``[B]``."""
        x = _zero_padding(features, length_mask(lengths, features.shape[1])).transpose(1, 2)
        for convolution in self.convolutions:
            lengths = (lengths + _STRIDE - 1) // _STRIDE
            x = functional.gelu(convolution(x)).transpose(1, 2)
            # The bias and the activation make the padding non-zero, and the next convolution would read it.
            x = _zero_padding(x, length_mask(lengths, x.shape[1])).transpose(1, 2)
        return x.transpose(1, 2), lengths

    def iterate_states(self, x: torch.Tensor, lengths: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the state ``[B, F, width]`` after each layer, starting from the output of `subsample`."""
        valid = length_mask(lengths, x.shape[1])
        x = self.dropout(x + self.context(x))
        for block in self.layers:
            x = block(x, valid)
            yield x


def _normalise_frames(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Give each frame of ``[B, F, D]`` zero mean and unit variance, and set the padding to zero."""
    return functional.layer_norm(x, x.shape[-1:]) * length_mask(lengths, x.shape[1])[..., None]


def build_encoder(config: EncoderConfig) -> Encoder:
    """Return the configured encoder, with log-mels as input."""
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
    """A wide grouped convolution, which encodes positions for attention (Baevski et al. 2020, section 2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        groups = _CONTEXT_GROUPS if width % _CONTEXT_GROUPS == 0 else 1
        self.convolution = nn.Conv1d(width, width, _CONTEXT_KERNEL, padding=_CONTEXT_KERNEL // 2, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        context: torch.Tensor = functional.gelu(self.convolution(x.transpose(1, 2)).transpose(1, 2))
        return context


class _Layer(nn.Module):
    """A pre-norm residual layer: attention, if there are heads, and a convolutional feed-forward.

    It resembles a Conformer block (Gulati et al. 2020), with one full convolution in place of the two feed-forwards and
    the depthwise convolution. It has no batch norm, whose statistics would make an item depend on its batch.
    """

    def __init__(self, width: int, heads: int, kernel: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.attention = _Attention(width, heads) if heads else None
        self.norm = nn.LayerNorm(width)
        self.up = nn.Conv1d(width, expansion * width, kernel, padding=kernel // 2)
        self.down = nn.Linear(expansion * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        if self.attention is not None:
            x = x + self.dropout(self.attention(x, valid))
        normal = _zero_padding(self.norm(x), valid).transpose(1, 2)
        update: torch.Tensor = self.dropout(self.down(functional.silu(self.up(normal)).transpose(1, 2)))
        return x + update


class _Attention(nn.Module):
    """Pre-norm multi-head self-attention over valid frames."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        batch, frames, width = x.shape
        query, key, value = self.mix(self.norm(x)).view(batch, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=valid[:, None, None, :])
        result: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(batch, frames, width))
        return result


def _zero_padding(x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Set ``[B, T, D]`` to zero where `valid`, bool ``[B, T]``, is false."""
    return x.masked_fill(~valid[..., None], 0.0)
