"""Train a speech encoder: select the recordings, batch them, and optimise."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from areca.fitting.batches import iterate_batches
from areca.fitting.loop import build_adamw, generator_for, train_steps
from areca.interfaces import Job
from areca.manifest import Utterance
from areca_units.features import MEL
from areca_units.options import EncoderConfig

Loss = Callable[[list[int], int], tuple[torch.Tensor, str]]
"""Given the indices of a batch's utterances and the step's number, returns the loss and a message that reports it."""


def train_encoder(model: nn.Module, loss: Loss, lengths: Sequence[int], config: EncoderConfig, job: Job) -> None:
    """Train `model` in place, and leave it in evaluation mode.

    Args:
        model: the model, on the job's device.
        loss: computes the loss of a batch.
        lengths: lengths of all utterances, in log-mel frames.
        config: the schedule.
        job: seed, device and progress; an interrupted training resumes from its work folder.
    """

    def from_step(start: int) -> Iterator[list[int]]:
        return itertools.islice(
            iterate_batches(lengths, int(config.batch_s * MEL.frame_rate_hz), job.seed), start, None
        )

    train_steps(
        model,
        build_adamw(model, learning_rate=config.learning_rate, weight_decay=config.weight_decay),
        from_step,
        loss,
        job,
        steps=config.steps,
        learning_rate=config.learning_rate,
        save_every=config.checkpoint_steps,
    )


def balance_speakers(rows: Sequence[Utterance], most: int, seed: int) -> list[Utterance]:
    """Return `rows` in their order, with at most `most` random rows per speaker. Rows without a speaker are kept."""
    counts: Counter[str] = Counter()
    selected = []
    for i in torch.randperm(len(rows), generator=generator_for(seed, "speakers", 0)).tolist():
        speaker = rows[i].speaker
        if speaker is not None:
            counts[speaker] += 1
        if speaker is None or counts[speaker] <= most:
            selected.append(i)
    return [rows[i] for i in sorted(selected)]
