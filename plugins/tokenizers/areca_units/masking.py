"""Learning from audio alone: a model fills in spans that are drawn at random (Baevski et al. 2020, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from areca.batching import pad_batch
from areca.fitting.loop import generator_for
from areca.fitting.sampling import training_rows
from areca.interfaces import Job
from areca.manifest import Manifest
from areca_units.augment import augmented
from areca_units.mels import mels_of
from areca_units.options import MaskedConfig
from areca_units.training import balanced, initialised, train_encoder

M = TypeVar("M", bound=nn.Module)

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
        bool ``[B, F]``, true at masked frames; none beyond an item's length, and within one of 1 or more at least one.
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


def train_masked(
    build: Callable[[], M],
    loss: Callable[[M, torch.Tensor, torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, str]],
    config: MaskedConfig,
    data: Manifest,
    job: Job,
) -> M:
    """Train on the audio of the training split; no text is needed.

    Args:
        build: makes the model, its weights drawn from the job's seed.
        loss: of the model, features ``[B, T, mels]``, lengths ``[B]``, masked frames ``[B, T / 4]`` and the step's
            number; and what to show of it.
        config: the schedule and the masks.
        data: audio.
        job: seed, device, progress; its folder holds what is to be gone on from.

    Returns:
        The model in evaluation mode.

    Raises:
        InvalidManifest: the training split has no audio.
    """
    rows = balanced(training_rows(data), config.speaker_rows, job.seed)
    model = initialised(build, job)
    mels = mels_of(data, rows, job)

    def of_batch(indices: list[int], step: int) -> tuple[torch.Tensor, str]:
        generator = generator_for(job.seed, "augment", step)
        x, lengths = pad_batch([augmented(mels[i], config, generator) for i in indices])
        masked = masked_spans(lengths // STACK, x.shape[1] // STACK, config.mask_share, config.mask_span, generator)
        return loss(model, x.to(job.device), lengths.to(job.device), masked.to(job.device), step)

    train_encoder(model, of_batch, mels.lengths, config, job)
    return model
