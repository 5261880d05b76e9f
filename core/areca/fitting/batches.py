"""Batches for training: utterances of similar length, in an order that depends only on the seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch

from areca.batching import bucket, round_length
from areca.fitting.loop import generator_for


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
