"""Text pretraining: next-token prediction on the recipe's text and its translations, resumable at any moment."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from areca.fitting.loop import train_steps
from areca.fitting.text_lm.corpus import newline_id
from areca.fitting.text_lm.options import TextOptions
from areca.interfaces import Job

WEIGHT_DECAY = 0.05
CLIP_NORM = 1.0
WARM_UP = 0.1


def pretrain(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    translations: Sequence[tuple[str, str, str]],
    config: TextOptions,
    job: Job,
) -> None:
    """Train `model` in place for ``config.pretrain_steps`` steps.

    A step depends on the seed, its number and the weights alone, so one that is killed and started again ends with
    the weights of an undisturbed one.

    Args:
        model: a causal language model on the job's device.
        tokenizer: its text tokenizer.
        texts: what to learn as it is.
        translations: tag, text and translation, learnt as the task `mt` will show them.
        config: batch, length, steps, learning rate.
        job: seed, progress; its folder holds what a killed run left.
    """
    lines = examples(tokenizer, texts, translations)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.pretrain_learning_rate, weight_decay=WEIGHT_DECAY)

    def from_step(start: int) -> Iterator[torch.Tensor]:
        for number in itertools.count(start):
            yield batch(lines, config.pretrain_batch, config.pretrain_length, job.seed, number).to(job.device)

    def loss(ids: torch.Tensor, _: int) -> tuple[torch.Tensor, str]:
        value = model(input_ids=ids, labels=ids, use_cache=False).loss
        return value, f"text loss {float(value.detach()):.2f}"

    train_steps(
        model,
        optimizer,
        from_step,
        loss,
        job,
        steps=config.pretrain_steps,
        learning_rate=config.pretrain_learning_rate,
        save_every=config.save_every,
        warm_up=WARM_UP,
        clip_norm=CLIP_NORM,
        seed_of=lambda number: job.seed + number,
    )


def examples(
    tokenizer: Any, texts: Sequence[str], translations: Sequence[tuple[str, str, str]]
) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """Return the ids of every line, int64 ``[N]``: a text, or tag, text and translation; a newline after each text.

    Parts are encoded apart, as segments are when the LM reads them.
    """
    end = newline_id(tokenizer)

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    monolingual = [[*ids(text), end] for text in texts]
    parallel = [[*ids(tag), *ids(text), end, *ids(target), end] for tag, text, target in translations]
    return [np.array(line, dtype=np.int64) for line in monolingual + parallel]


def batch(
    lines: Sequence[np.ndarray[Any, np.dtype[np.int64]]], rows: int, length: int, seed: int, step: int
) -> torch.Tensor:
    """Return int64 ``[rows, length]``: lines drawn at random from (seed, step), one after another, cut to length."""
    draw = np.random.default_rng([seed, step])
    chosen: list[np.ndarray[Any, np.dtype[np.int64]]] = []
    missing = rows * length
    while missing > 0:
        chosen.append(lines[int(draw.integers(len(lines)))])
        missing -= chosen[-1].size
    return torch.from_numpy(np.concatenate(chosen)[: rows * length].reshape(rows, length))
