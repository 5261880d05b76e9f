"""The losses and the training of a generator (sections 2.4 and 3.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from areca.fitting.adversarial import LEAST_SQUARES, Discriminators, Side, feature_distances, train_adversaries
from areca.fitting.hifigan.discriminators import build_discriminators
from areca.fitting.hifigan.generator import merge_weights, normalise_weights
from areca.fitting.loop import Update
from areca.job import Job
from areca.mel import MelConfig, log_mel

B = TypeVar("B")

MEL = MelConfig(n_fft=1_024, window=1_024, hop=256)
"""The log-mels that the loss compares, with the paper's sizes."""
_BETAS = (0.8, 0.99)
_WEIGHT_DECAY = 0.01


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a HiFi-GAN is trained.

    Args:
        steps: training steps.
        learning_rate: initial learning rate of both sides (AdamW).
        decay: factor on the learning rate after each epoch.
        epoch_steps: steps in an epoch.
        save_every: steps between two saved states.
        discriminator_channels: as for `areca.fitting.hifigan.discriminators.build_discriminators`.
        mel_weight, feature_weight: weights of the mel loss and of feature matching; the adversarial loss has 1.
    """

    steps: int
    learning_rate: float
    decay: float
    epoch_steps: int
    save_every: int
    discriminator_channels: int
    mel_weight: float
    feature_weight: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a generator makes of a batch.

    Args:
        real, fake: audio, float32 ``[B, T]``.
        extra: a loss that is added to the generator's; None: there is none.
        message: reports `extra`.
    """

    real: torch.Tensor
    fake: torch.Tensor
    extra: torch.Tensor | None = None
    message: str = ""


def train_hifigan(
    model: nn.Module,
    convolutions: nn.Module,
    batches: Callable[[int], Iterator[B]],
    attempt: Callable[[B], Attempt],
    job: Job,
    schedule: Schedule,
) -> None:
    """Train `model` in place, from the last saved state if there is one, and leave it in evaluation mode.

    Args:
        model: all that is trained, on the job's device.
        convolutions: the part of it whose convolutions have weight norm in training.
        batches: given a step's number, yields the batches from that step on.
        attempt: generates the audio of a batch.
        job: seed, device and progress; its work folder holds the saved states.
        schedule: steps, rates and weights.

    Raises:
        Interrupted: Ctrl-C or SIGTERM arrived; the state is saved.
    """
    normalise_weights(convolutions)
    discriminators = build_discriminators(schedule.discriminator_channels, job.seed).to(job.device)
    side = Side(schedule.learning_rate, _BETAS, _WEIGHT_DECAY)
    train_adversaries(
        model,
        discriminators,
        batches,
        lambda batch, _: _updates(model, discriminators, attempt(batch), schedule),
        job,
        sides=(side, side),
        steps=schedule.steps,
        save_every=schedule.save_every,
        rate=lambda number: schedule.decay ** (number // schedule.epoch_steps),
        clip_norm=math.inf,
    )
    merge_weights(convolutions)


def _updates(
    model: nn.Module, discriminators: Discriminators, attempt: Attempt, schedule: Schedule
) -> Iterator[Update]:
    """Yield the update of the discriminators, then that of the generator."""
    real, fake = attempt.real[:, None], attempt.fake[:, None]
    judged = LEAST_SQUARES.judge(discriminators(real), discriminators(fake.detach())).sum()
    yield Update(discriminators, judged, f"discriminators {judged.item():.2f}")
    with torch.no_grad():
        expected = discriminators(real)
    verdicts = discriminators(fake)
    convinced = LEAST_SQUARES.convince(verdicts).sum()
    features = torch.stack([x.sum() for x in feature_distances(expected, verdicts)]).sum()
    mel = mel_distance(attempt.real, attempt.fake)
    loss = convinced + schedule.feature_weight * features + schedule.mel_weight * mel
    message = f"generator {convinced.item():.2f}, mel L1 {mel.item():.3f}"
    if attempt.extra is not None:
        loss, message = loss + attempt.extra, f"{message}, {attempt.message}"
    yield Update(model, loss, message)


def mel_distance(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute difference of the log-mels of audio, float32 ``[B, T]``."""
    return (log_mel(real, MEL) - log_mel(fake, MEL)).abs().mean()


def draw_segments(
    lengths: Sequence[int], frames: int, batch: int, generator: torch.Generator
) -> list[tuple[int, slice]]:
    """Draw a batch of segments: recordings in equal shares, and where in each its segment is.

    Args:
        lengths: frames of each recording, at least `frames`.
        frames: frames of a segment.
        batch: number of segments.
        generator: the only source of randomness.

    Returns:
        The index of each segment's recording, and its frames.
    """
    segments = []
    for index in torch.randint(len(lengths), (batch,), generator=generator).tolist():
        start = int(torch.randint(lengths[index] - frames + 1, (), generator=generator))
        segments.append((index, slice(start, start + frames)))
    return segments


_HIGHEST = 32_767


def pack_samples(samples: torch.Tensor) -> torch.Tensor:
    """Return samples, float32, as int16, the precision of most recordings; louder ones than 1 are clipped."""
    return (samples.clamp(-1, 1) * _HIGHEST).round().short()


def unpack_samples(samples: torch.Tensor) -> torch.Tensor:
    """Return the result of `pack_samples` as float32 in [-1, 1]."""
    return samples.float() / _HIGHEST
