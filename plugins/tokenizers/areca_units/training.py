"""Training of a speech encoder: a step depends on the seed and its number alone, so it can go on anywhere."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import nn

from areca.batching import grouped
from areca.interfaces import Job
from areca.manifest import Utterance
from areca.resume import Steps
from areca_units.features import MEL, rounded
from areca_units.options import EncoderConfig

_WARM_UP = 0.05
_BETAS = (0.9, 0.98)
_CLIP = 1.0

M = TypeVar("M", bound=nn.Module)
Loss = Callable[[list[int], int], tuple[torch.Tensor, str]]
"""Given the utterances of a batch and the step's number, the loss and what to show of it."""


def initialised(build: Callable[[], M], job: Job) -> M:
    """Return what `build` makes, its weights drawn from the job's seed, on the job's device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        return build().to(job.device)


def train_encoder(model: nn.Module, loss: Loss, lengths: Sequence[int], config: EncoderConfig, job: Job) -> None:
    """Train `model` in place, and leave it in evaluation mode.

    Args:
        model: what is trained.
        loss: of a batch.
        lengths: of all utterances, in log-mel frames.
        config: the schedule.
        job: seed, device, progress; its folder holds the state, kept up to date, to go on from.
    """
    optimizer = _optimizer(model, config)
    todo = Steps(job, model, optimizer, steps=config.steps, save_every=config.checkpoint_steps)
    order = itertools.islice(batches(lengths, int(config.batch_s * MEL.frame_rate_hz), job.seed), todo.start, None)

    def step(number: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * schedule(number, config.steps)
        # Dropout knows only the global generator: lend it a state of this step's own.
        with torch.random.fork_rng(devices=[job.device] if job.device.type == "cuda" else []):
            torch.manual_seed(drawn(job.seed, "dropout", number).initial_seed())
            value, message = loss(next(order), number)
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        optimizer.step()
        job.progress(number + 1, config.steps, message)

    model.train()
    todo.run(step)
    model.eval()


def balanced(rows: Sequence[Utterance], most: int, seed: int) -> list[Utterance]:
    """Return `rows`, in their order, with at most `most` of each speaker, drawn at random; rows of nobody stay."""
    heard: Counter[str] = Counter()
    kept = []
    for i in torch.randperm(len(rows), generator=drawn(seed, "speakers", 0)).tolist():
        speaker = rows[i].speaker
        if speaker is not None:
            heard[speaker] += 1
        if speaker is None or heard[speaker] <= most:
            kept.append(i)
    return [rows[i] for i in sorted(kept)]


def drawn(seed: int, purpose: str, number: int) -> torch.Generator:
    """Return a generator of its own for each purpose and number, so that no draw depends on those before it."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def batches(lengths: Sequence[int], budget: int, seed: int) -> Iterator[list[int]]:
    """Yield batches of similar lengths for ever; an epoch's grouping and order depend on `seed` and its number."""
    sizes = [rounded(length) for length in lengths]
    exact = torch.tensor(lengths, dtype=torch.float64)
    for epoch in itertools.count():
        generator = drawn(seed, "epoch", epoch)
        jitter = 0.9 + 0.2 * torch.rand(len(lengths), generator=generator, dtype=torch.float64)
        groups = grouped((exact * jitter).argsort(stable=True).tolist(), sizes, budget)
        for g in torch.randperm(len(groups), generator=generator).tolist():
            yield groups[g]


def schedule(step: int, steps: int) -> float:
    """Return the share of the peak learning rate: a linear warm-up, then half a cosine down to 0."""
    warm_up = max(1, round(_WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))) / 2


def _optimizer(model: nn.Module, config: EncoderConfig) -> torch.optim.AdamW:
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=_BETAS)
