"""Train a speech encoder: select the recordings, batch them, and optimise."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import nn

from areca.batching import bucket, round_length
from areca.fitting.loop import generator_for, train_steps
from areca.interfaces import Job
from areca.manifest import Utterance
from areca_units.features import MEL
from areca_units.options import EncoderConfig

_BETAS = (0.9, 0.98)

M = TypeVar("M", bound=nn.Module)
Loss = Callable[[list[int], int], tuple[torch.Tensor, str]]
"""Given the indices of a batch's utterances and the step's number, returns the loss and a message that reports it."""


def initialise_model(build: Callable[[], M], job: Job) -> M:
    """Build a model with weights drawn from the job's seed, and move it to the job's device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        return build().to(job.device)


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
        _optimizer(model, config),
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


def iterate_batches(lengths: Sequence[int], budget: int, seed: int) -> Iterator[list[int]]:
    """Yield batches of utterances of similar length, without end.

    Args:
        lengths: of all utterances, in frames.
        budget: maximum number of frames in a batch, padding included.
        seed: with the epoch's number, decides the batches of an epoch and their order.
    """
    sizes = [round_length(length) for length in lengths]
    exact = torch.tensor(lengths, dtype=torch.float64)
    for epoch in itertools.count():
        generator = generator_for(seed, "epoch", epoch)
        jitter = 0.9 + 0.2 * torch.rand(len(lengths), generator=generator, dtype=torch.float64)
        groups = bucket(sizes, budget, order=(exact * jitter).argsort(stable=True).numpy())
        for g in torch.randperm(len(groups), generator=generator).tolist():
            yield groups[g].tolist()


def _optimizer(model: nn.Module, config: EncoderConfig) -> torch.optim.AdamW:
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=_BETAS)
