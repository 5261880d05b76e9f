"""Train the network: batches and losses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from areca.batching import length_mask
from areca.fitting.batches import iterate_batches
from areca.fitting.codec_vocoder.layout import Layout
from areca.fitting.codec_vocoder.pairs import Pair, Pairs
from areca.fitting.durations import duration_loss
from areca.fitting.loop import build_adamw, generator_for, initialise_model, train_steps
from areca.interfaces import Job, Quantized
from areca_soundstorm.masking import mask_codes
from areca_soundstorm.network import Network, start_at_codebooks
from areca_soundstorm.options import SoundStormConfig


def train(config: SoundStormConfig, layout: Layout, acoustic: Any, pairs: Pairs, job: Job) -> Network:
    """Train a network, and return it in evaluation mode.

    Args:
        config: sizes and schedule.
        layout: how the codes fit together.
        acoustic: the loaded codec.
        pairs: the training data.
        job: seed, device and progress; an interrupted training resumes from its work folder.
    """
    net = initialise_model(lambda: _build(config, layout, acoustic, job.seed), job)
    longest = layout.frames(config.longest_s)
    lengths = [min(frames, longest) for frames in pairs.frames]
    budget = layout.frames(config.batch_s)

    def from_step(start: int) -> Iterator[list[int]]:
        return itertools.islice(iterate_batches(lengths, budget, job.seed), start, None)

    def loss(indices: list[int], number: int) -> tuple[torch.Tensor, str]:
        generator = generator_for(job.seed, "masks", number)
        batch = [_cut(pairs[i], longest, layout.repeats, generator) for i in indices]
        value = code_loss(net, batch, config.level_bias, generator)
        message = f"codes {value.item():.3f}"
        if net.duration is None:
            return value, message
        timing = duration_loss(net.duration, [p.units for p in batch], [p.durations for p in batch], job.device)
        return value + timing, f"{message}, durations {timing.item():.3f}"

    train_steps(
        net,
        build_adamw(net, learning_rate=config.learning_rate, weight_decay=config.weight_decay),
        from_step,
        loss,
        job,
        steps=config.steps,
        learning_rate=config.learning_rate,
        save_every=config.checkpoint_steps,
    )
    return net


def _build(config: SoundStormConfig, layout: Layout, acoustic: Any, seed: int) -> Network:
    net = Network(config, layout)
    if config.start == "codebooks" and "codebooks" in layout.acoustic.tags:
        assert isinstance(acoustic, Quantized), "the tag codebooks promises it"
        start_at_codebooks(net, acoustic.codebooks(), generator_for(seed, "codebooks", 0))
    return net


def _cut(pair: Pair, longest: int, repeats: int, generator: torch.Generator) -> Pair:
    """Cut a pair at random to `longest` frames; cuts are between base frames."""
    spare = (len(pair.condition) - longest) // repeats
    if spare <= 0:
        return pair
    return pair.crop(int(torch.randint(spare + 1, (), generator=generator)) * repeats, longest)


def code_loss(net: Network, pairs: Sequence[Pair], level_bias: float, generator: torch.Generator) -> torch.Tensor:
    """Return the mean cross-entropy (nats) of the masked codes of each item's level (SoundStorm, section 3.2).

    Args:
        net: the network.
        pairs: the items of the batch.
        level_bias: see `mask_codes`.
        generator: draws prompts, levels and masks, on the CPU.
    """
    device = net.condition.weight.device
    lengths = torch.tensor([len(pair.condition) for pair in pairs])
    condition = pad_sequence([pair.condition for pair in pairs], batch_first=True)
    codes = pad_sequence([pair.codes.T for pair in pairs], batch_first=True)
    masked = mask_codes(codes, lengths, net.masks.cpu(), level_bias, generator)
    valid = length_mask(lengths, codes.shape[1]).to(device)
    hidden = net(condition.to(device), masked.codes.to(device), valid, masked.predicted.to(device))
    # Only the head of an item's level is computed, and only for its masked codes.
    levels = masked.levels[:, None].expand_as(masked.predicted)[masked.predicted]
    targets = codes[masked.predicted].gather(1, levels[:, None])[:, 0]
    total: torch.Tensor = hidden.sum() * 0.0  # of a batch in which nothing is masked
    for level in sorted(set(levels.tolist())):
        rows = levels == level
        logits = net.heads[level](hidden[rows.to(device)])
        total = total + functional.cross_entropy(logits, targets[rows].to(device), reduction="sum")
    return total / max(1, len(levels))
