"""Train a voice: batches and losses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from areca.fitting.durations import duration_loss, pad_rows
from areca.fitting.loop import generator_for, initialise_model, train_steps
from areca.interfaces import Job
from areca_unitmel import MEL_RATE_HZ, UnitMelConfig
from areca_unitmel.corpus import Clip
from areca_unitmel.network import MelNet, Shape, Voice

_BETAS = (0.9, 0.98)
_NEIGHBOURS = 4
"""A batch is drawn from a window of this many batches in the clips, which are sorted by length."""


def train(config: UnitMelConfig, shape: Shape, clips: Sequence[Clip], job: Job) -> Voice:
    """Train the networks of a voice.

    Args:
        config: the schedule.
        shape: sizes of the networks.
        clips: the training data.
        job: seed, device and progress; an interrupted training resumes from its work folder.

    Returns:
        The networks in evaluation mode.
    """
    voice = _initialise(shape, clips, job)
    optimizer = torch.optim.AdamW(
        voice.parameters(), lr=config.learning_rate, betas=_BETAS, weight_decay=config.weight_decay
    )
    by_length = sorted(clips, key=lambda c: len(c.mel))
    longest = max(1, int(config.longest_s * MEL_RATE_HZ) // shape.frames_per_unit)

    def from_step(start: int) -> Iterator[list[Clip]]:
        for number in itertools.count(start):
            generator = generator_for(job.seed, "clips", number)
            drawn = _draw(by_length, config.batch, generator)
            yield [_cut(clip, longest, shape.frames_per_unit, generator) for clip in drawn]

    train_steps(
        voice,
        optimizer,
        from_step,
        lambda batch, _: _loss(voice, batch, job.device),
        job,
        steps=config.steps,
        learning_rate=config.learning_rate,
        save_every=config.checkpoint_steps,
    )
    return voice


def _initialise(shape: Shape, clips: Sequence[Clip], job: Job) -> Voice:
    """Return networks with weights drawn from the job's seed, and the mean and deviation of the clips' log-mels."""
    voice = initialise_model(lambda: Voice(shape), job)
    frames = torch.cat([c.mel for c in clips])
    voice.mel.mean.copy_(frames.mean(0, dtype=torch.float32)[:, None])
    voice.mel.deviation.copy_(frames.float().std(0)[:, None].clamp(min=1e-2))
    return voice


def _draw(by_length: Sequence[Clip], size: int, generator: torch.Generator) -> list[Clip]:
    """Draw a batch of clips of similar length."""
    window = min(len(by_length), _NEIGHBOURS * size)
    start = int(torch.randint(len(by_length) - window + 1, (), generator=generator))
    return [by_length[start + i] for i in torch.randperm(window, generator=generator)[:size].tolist()]


def _cut(clip: Clip, longest: int, frames_per_unit: int, generator: torch.Generator) -> Clip:
    """Cut a clip at random to the units that cover `longest` frames of the base rate."""
    ends = clip.durations.cumsum(0)
    if (spare := int(ends[-1]) - longest) <= 0:
        return clip
    frame = torch.randint(spare + 1, (), generator=generator)
    first = int(torch.searchsorted(ends, frame, right=True))
    begin = int(ends[first] - clip.durations[first])
    last = int(torch.searchsorted(ends, begin + longest)) + 1
    frames = slice(begin * frames_per_unit, int(ends[last - 1]) * frames_per_unit)
    return Clip(clip.units[first:last], clip.durations[first:last], clip.mel[frames])


def _loss(voice: Voice, clips: Sequence[Clip], device: torch.device) -> tuple[torch.Tensor, str]:
    loss = mel_loss(voice.mel, clips, device)
    message = f"mel L1 {loss.item():.3f}"
    if voice.duration is not None:
        durations = duration_loss(voice.duration, [c.units for c in clips], [c.durations for c in clips], device)
        return loss + durations, f"{message}, durations {durations.item():.3f}"
    return loss, message


def mel_loss(net: MelNet, clips: Sequence[Clip], device: torch.device) -> torch.Tensor:
    """Return the mean absolute error of log-mels over the frames of `clips`."""
    units, mask = pad_rows([c.units.repeat_interleave(c.durations) for c in clips], device)
    targets = pad_sequence([c.mel for c in clips], batch_first=True).to(device).float().transpose(1, 2)
    frames = mask[:, None].repeat_interleave(net.stack, -1)
    errors: torch.Tensor = (net(units, mask) - targets).abs() * frames
    return errors.sum() / (frames.sum() * targets.shape[1])
