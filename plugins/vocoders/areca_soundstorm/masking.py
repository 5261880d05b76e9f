"""Which codes a training step masks (SoundStorm, section 3.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Masked:
    """A batch with masked codes.

    Args:
        codes: codes or mask ids, int64 ``[B, T, Q]``.
        levels: the level that each item predicts, int64 ``[B]``.
        predicted: the frames whose code of that level is masked, bool ``[B, T]``.
    """

    codes: torch.Tensor
    levels: torch.Tensor
    predicted: torch.Tensor


def mask_codes(
    codes: torch.Tensor, lengths: torch.Tensor, masks: torch.Tensor, level_bias: float, generator: torch.Generator
) -> Masked:
    """Mask codes of a batch.

    Each item keeps a prompt, whose end is uniform in its length. A level q is drawn. Behind the prompt, each code of
    level q is masked with probability cos(u), u uniform in [0, pi / 2], and all codes of finer levels are masked.

    Args:
        codes: int64 ``[B, T, Q]``, on the CPU.
        lengths: frames of each item, int64 ``[B]``.
        masks: the mask id of each level, int64 ``[Q]``.
        level_bias: level k, counted from 1, is drawn with probability proportional to ``k ** -level_bias``.
        generator: the only source of randomness, on the CPU.
    """
    batch, frames, count = codes.shape
    ends = (torch.rand(batch, generator=generator) * lengths).long()
    weights = torch.arange(1, count + 1, dtype=torch.float64) ** -level_bias
    levels = torch.multinomial(weights, batch, replacement=True, generator=generator)
    shares = torch.cos(torch.rand(batch, generator=generator) * (math.pi / 2))
    positions = torch.arange(frames)
    behind = (positions >= ends[:, None]) & (positions < lengths[:, None])
    predicted = behind & (torch.rand(batch, frames, generator=generator) < shares[:, None])
    level, drawn = torch.arange(count), levels[:, None, None]
    hidden = (predicted[..., None] & (level == drawn)) | (behind[..., None] & (level > drawn))
    return Masked(torch.where(hidden, masks, codes), levels, predicted)
