"""The training loop of small models: a step depends on the seed and its number alone, so any resume is exact."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

from areca.fitting.resume import Steps
from areca.interfaces import Job

B = TypeVar("B")


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
    """Train `model` in place, resuming from the last saved state, and leave it in evaluation mode.

    The learning rate rises linearly over the share `warm_up` of the steps, then falls to 0 as half a cosine.

    Args:
        model: on the job's device.
        optimizer: of the model's parameters; its learning rate is set here.
        batches: given the number of a step, yields the batches from that step on.
        loss: of a batch and the step's number: the loss, and what to show of it.
        job: seed and progress; its folder holds the states.
        steps: of the whole training.
        learning_rate: the highest.
        save_every: steps between two saved states.
        warm_up: share of the steps, in [0, 1).
        clip_norm: largest norm of the gradients.
        seed_of: given the number of a step, the seed of torch's global generator in it, which dropout uses; None: drawn
            from the job's seed.

    Raises:
        Interrupted: Ctrl-C or SIGTERM came; the state is saved.
    """
    resumed = Steps(job, model, optimizer, steps=steps, save_every=save_every)
    remaining = batches(resumed.start)

    def step(number: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * scheduled(number, steps, warm_up)
        seed = generator_for(job.seed, "dropout", number).initial_seed() if seed_of is None else seed_of(number)
        with _global_seed(seed, job.device):
            value, message = loss(next(remaining), number)
        optimizer.zero_grad()
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
        job.progress(number + 1, steps, message)

    model.train()
    resumed.run(step)
    model.eval()


def scheduled(step: int, steps: int, warm_up: float = 0.05) -> float:
    """Return the share of the peak learning rate at `step`: a linear warm-up, then half a cosine down to 0."""
    rising = max(1, round(warm_up * steps))
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2


def generator_for(seed: int, purpose: str, number: int) -> torch.Generator:
    """Return a generator of its own for each purpose and number, so that no draw depends on those before it."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


@contextmanager
def _global_seed(seed: int, device: torch.device) -> Iterator[None]:
    """Lend dropout, which knows only the global generator, a state of this step's own."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
