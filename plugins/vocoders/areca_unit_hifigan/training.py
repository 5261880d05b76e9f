"""Train a vocoder: segments, batches and the loss of durations."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional

from areca.fitting.hifigan.training import Attempt, Schedule, draw_segments, train_hifigan, unpack_samples
from areca.fitting.loop import generator_for
from areca.interfaces import Job
from areca_unit_hifigan.corpus import Clip
from areca_unit_hifigan.network import predict_log_durations, synthesize
from areca_unit_hifigan.options import UnitHifiganConfig
from areca_unit_hifigan.properties import DEDUPLICATED

Segment = tuple[Clip, slice]
"""A clip, and the frames of it that are synthesised."""


def train(config: UnitHifiganConfig, model: Any, clips: Sequence[Clip], job: Job) -> Any:
    """Train a vocoder.

    Args:
        config: the schedule.
        model: the network, on the job's device.
        clips: the training data, each as long as a segment or longer.
        job: seed, device and progress; an interrupted training resumes from its work folder.

    Returns:
        The network in evaluation mode.
    """
    lengths = [len(clip.samples) // config.hop for clip in clips]
    frames = config.segment // config.hop

    def batches(start: int) -> Iterator[list[Segment]]:
        for number in itertools.count(start):
            drawn = draw_segments(lengths, frames, config.batch, generator_for(job.seed, "segments", number))
            yield [(clips[index], window) for index, window in drawn]

    def attempt(batch: Sequence[Segment]) -> Attempt:
        real = torch.stack([unpack_samples(c.samples[w.start * config.hop : w.stop * config.hop]) for c, w in batch])
        units = torch.stack([clip.frames[window] for clip, window in batch]).to(job.device)
        speakers = torch.tensor([clip.speaker for clip, _ in batch], device=job.device)
        fake = synthesize(model, units, speakers, torch.zeros_like(speakers))
        if not getattr(model.config, DEDUPLICATED):
            return Attempt(real.to(job.device), fake)
        durations = duration_loss(model, [clip for clip, _ in batch], job.device)
        message = f"durations {durations.item():.3f}"
        return Attempt(real.to(job.device), fake, config.duration_weight * durations, message)

    schedule = Schedule(
        steps=config.steps,
        learning_rate=config.learning_rate,
        decay=config.decay,
        epoch_steps=-(-len(clips) // config.batch),
        save_every=config.checkpoint_steps,
        discriminator_channels=config.discriminator_channels,
        mel_weight=config.mel_weight,
        feature_weight=config.feature_weight,
    )
    train_hifigan(model, model.hifi_gan, batches, attempt, job, schedule)
    return model


def duration_loss(model: Any, clips: Sequence[Clip], device: torch.device) -> torch.Tensor:
    """Return the mean squared error of log(1 + duration) over the units of whole clips (Lee et al. 2022, section 3.4).

    Each clip is computed separately: padding would change the durations at its ends.
    """
    predicted = torch.cat([predict_log_durations(model, clip.units.to(device)) for clip in clips])
    expected = torch.cat([clip.durations for clip in clips]).to(device).float().log1p()
    return functional.mse_loss(predicted, expected)
