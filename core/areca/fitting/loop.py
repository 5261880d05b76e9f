"""A training loop for small models. A step depends only on the seed and its number, so every resume is exact."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import torch
from torch import nn

from areca.fitting.resume import ResumableLoop
from areca.job import Job

B = TypeVar("B")
M = TypeVar("M", bound=nn.Module)
_BETAS = (0.9, 0.98)


def train_steps(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Callable[[int], Iterator[B]],
    loss: Callable[[B, int], tuple[torch.Tensor, str]],
    job: Job,
    *,
    steps: int,
    learning_rate: float,
    save_every: int,
    warm_up: float = 0.05,
    clip_norm: float = 1.0,
    seed_of: Callable[[int], int] | None = None,
) -> None:
    """Train `model` in place, from the last saved state if there is one, and leave it in evaluation mode.

    The learning rate rises linearly over the first `warm_up` share of the steps, then falls to 0 along half a cosine.

    Args:
        model: on the job's device.
        optimizer: of the model's parameters; this function sets its learning rate.
        batches: given a step's number, yields the batches from that step on.
        loss: given a batch and the step's number, returns the loss and a message that reports it.
        job: seed and progress; its work folder holds the saved states.
        steps: number of steps of the whole training.
        learning_rate: peak learning rate.
        save_every: steps between two saved states.
        warm_up: share of the steps, in [0, 1).
        clip_norm: gradients are clipped to this norm.
        seed_of: given a step's number, returns the seed of torch's global generator in that step, which dropout uses
            (default: derived from the job's seed).

    Raises:
        Interrupted: Ctrl-C or SIGTERM arrived; the state is saved.

    Example::

        def batches(start: int) -> Iterator[torch.Tensor]:
            for number in itertools.count(start):
                yield draw_batch(generator_for(job.seed, "batch", number))

        def loss(batch: torch.Tensor, number: int) -> tuple[torch.Tensor, str]:
            value = model(batch)
            return value, f"loss {float(value.detach()):.3f}"

        train_steps(model, optimizer, batches, loss, job, steps=1_000, learning_rate=1e-3, save_every=100)
    """
    for group in optimizer.param_groups:
        group["lr"] = learning_rate

    def updates(batch: B, number: int) -> Iterator[Update]:
        yield Update(model, *loss(batch, number))

    train_in_turns(
        model,
        optimizer,
        batches,
        updates,
        job,
        steps=steps,
        save_every=save_every,
        rate=lambda number: learning_rate_factor(number, steps, warm_up),
        clip_norm=clip_norm,
        seed_of=seed_of,
    )


class Update(NamedTuple):
    """One of the updates in a step of `train_in_turns`."""

    module: nn.Module
    """The part of the model whose parameters are updated."""
    loss: torch.Tensor
    """What the update minimizes: a scalar."""
    message: str
    """Reports the loss."""


def train_in_turns(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Callable[[int], Iterator[B]],
    updates: Callable[[B, int], Iterable[Update]],
    job: Job,
    *,
    steps: int,
    save_every: int,
    rate: Callable[[int], float],
    clip_norm: float,
    seed_of: Callable[[int], int] | None = None,
) -> None:
    """Train the parts of `model` in turns, from the last saved state if there is one.

    A step makes one or more updates. Each updates only the parameters of its part, and has no gradients for others.
    `updates` is usually a generator function: what follows a ``yield`` runs after that update. The model ends in
    evaluation mode.

    Args:
        model: holds all parts, and is on the job's device.
        optimizer: of the model's parameters. Parts may have different options in separate parameter groups. Each group
            has its peak learning rate as ``lr``.
        batches: given a step's number, yields the batches from that step on.
        updates: given a batch and the step's number, yields the updates of the step.
        job: seed and progress; its work folder holds the saved states.
        steps: number of steps of the whole training.
        save_every: steps between two saved states.
        rate: given a step's number, returns its learning rate as a share of the peak.
        clip_norm: the gradients of an update are clipped to this norm.
        seed_of: as for `train_steps`.

    Raises:
        Interrupted: Ctrl-C or SIGTERM arrived; the state is saved.
    """
    peaks = [group["lr"] for group in optimizer.param_groups]
    loop = ResumableLoop(job, model, optimizer, steps=steps, save_every=save_every)
    remaining = batches(loop.start)

    def step(number: int) -> None:
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * rate(number)
        seed = generator_for(job.seed, "dropout", number).initial_seed() if seed_of is None else seed_of(number)
        messages = []
        with _global_seed(seed, job.device):
            for update in updates(next(remaining), number):
                _apply(update, optimizer, clip_norm)
                messages.append(update.message)
        job.progress(number + 1, steps, ", ".join(messages))

    model.train()
    loop.run(step)
    model.eval()


def _apply(update: Update, optimizer: torch.optim.Optimizer, clip_norm: float) -> None:
    """Update the parameters of one part: only they have gradients, and an optimizer leaves the others alone."""
    parameters = [x for x in update.module.parameters() if x.requires_grad]
    optimizer.zero_grad()
    torch.autograd.backward(update.loss, inputs=parameters)
    nn.utils.clip_grad_norm_(parameters, clip_norm)
    optimizer.step()


def learning_rate_factor(step: int, steps: int, warm_up: float = 0.05) -> float:
    """Return the learning rate at `step` as a share of its peak: a linear warm-up, then half a cosine down to 0."""
    rising = max(1, round(warm_up * steps))
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2


def generator_for(seed: int, purpose: str, number: int) -> torch.Generator:
    """Return a separate generator for each purpose and number, so that no draw depends on earlier draws.

    Args:
        seed: the job's seed.
        purpose: what is drawn, for example ``"augment"``.
        number: of the step or epoch.

    Returns:
        A generator on the CPU.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def initialise_model(build: Callable[[], M], job: Job) -> M:
    """Build a model with weights drawn from the job's seed, and move it to the job's device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        return build().to(job.device)


def build_adamw(model: nn.Module, *, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW for a model's trained parameters. The weights of matrices decay; biases and gains do not."""
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=_BETAS)


@contextmanager
def _global_seed(seed: int, device: torch.device) -> Iterator[None]:
    """Within the block, seed the global generator, the only one that dropout uses, and restore it afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
