"""Masked prediction: train a model to predict randomly masked spans of audio (Baevski et al. 2020, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from areca.batching import length_mask, pad_batch
from areca.fitting.loop import generator_for, initialise_model
from areca.fitting.sampling import training_rows
from areca.interfaces import Job
from areca.manifest import Manifest
from areca_units.augment import augment
from areca_units.mels import compute_mels
from areca_units.options import MaskedConfig
from areca_units.training import balance_speakers, train_encoder

M = TypeVar("M", bound=nn.Module)

STACK = 4
"""Frames of 10 ms in a frame of 40 ms."""


def draw_masks(lengths: torch.Tensor, frames: int, share: float, span: int, generator: torch.Generator) -> torch.Tensor:
    """Draw random spans, which may overlap, so that about `share` of each item is masked.

    Args:
        lengths: frames of each item, int64 ``[B]`` on the CPU.
        frames: number F of frames in the batch.
        share: expected share of masked frames, in (0, 1).
        span: frames in a span.
        generator: the only source of randomness.

    Returns:
        bool ``[B, F]``, true at masked frames. At least one frame of every non-empty item is masked, and none beyond
        its length.
    """
    # A frame is unmasked if no span starts at it or at one of the `span - 1` frames before it.
    chance = 1 - (1 - share) ** (1 / span)
    starts = torch.rand(len(lengths), frames, generator=generator) < chance
    first = (torch.rand(len(lengths), generator=generator) * lengths).long()
    starts[torch.arange(len(lengths)), first] = True
    ends = starts.long().cumsum(1)
    before = torch.nn.functional.pad(ends, (span, 0))[:, :frames]
    masked: torch.Tensor = (ends > before) & length_mask(lengths, frames)
    return masked


def train_masked(
    build: Callable[[], M],
    loss: Callable[[M, torch.Tensor, torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, str]],
    config: MaskedConfig,
    data: Manifest,
    job: Job,
) -> M:
    """Train a model on the audio of the training split; no text is needed.

    Args:
        build: builds the model; its weights are drawn from the job's seed.
        loss: given the model, features ``[B, T, mels]``, lengths ``[B]``, a mask ``[B, T / 4]`` and the step's number,
            returns the loss and a message that reports it.
        config: the schedule and the masks.
        data: the corpus.
        job: seed, device and progress; an interrupted training resumes from its work folder.

    Returns:
        The model in evaluation mode.

    Raises:
        InvalidManifest: the training split has no audio.
    """
    rows = balance_speakers(training_rows(data), config.speaker_rows, job.seed)
    model = initialise_model(build, job)
    mels = compute_mels(data, rows, job)

    def batch_loss(indices: list[int], step: int) -> tuple[torch.Tensor, str]:
        generator = generator_for(job.seed, "augment", step)
        x, lengths = pad_batch([augment(mels[i], config, generator) for i in indices])
        masked = draw_masks(lengths // STACK, x.shape[1] // STACK, config.mask_share, config.mask_span, generator)
        return loss(model, x.to(job.device), lengths.to(job.device), masked.to(job.device), step)

    train_encoder(model, batch_loss, mels.lengths, config, job)
    return model
