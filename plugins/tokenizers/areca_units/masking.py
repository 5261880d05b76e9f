"""Which frames a model has to fill in: spans drawn at random (Baevski et al. 2020, section 3.1)."""

from __future__ import annotations

import torch

STACK = 4
"""Frames of 10 ms that become one of 40 ms."""


def masked_spans(
    lengths: torch.Tensor, frames: int, share: float, span: int, generator: torch.Generator
) -> torch.Tensor:
    """Draw spans that may overlap until about `share` of an item is masked.

    Args:
        lengths: int64 ``[B]``, frames of each item, on the CPU.
        frames: length F of the batch.
        share: of the frames, in (0, 1).
        span: frames of a span.
        generator: what is drawn.

    Returns:
        bool ``[B, F]``, true at masked frames; none beyond an item's length, and in each item at least one.
    """
    # A frame is free if none of the `span` frames up to it starts a span.
    chance = 1 - (1 - share) ** (1 / span)
    starts = torch.rand(len(lengths), frames, generator=generator) < chance
    first = (torch.rand(len(lengths), generator=generator) * lengths).long()
    starts[torch.arange(len(lengths)), first] = True
    ends = starts.long().cumsum(1)
    before = torch.nn.functional.pad(ends, (span, 0))[:, :frames]
    masked: torch.Tensor = (ends > before) & (torch.arange(frames) < lengths[:, None])
    return masked
