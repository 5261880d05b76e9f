"""Text pretraining: next-token prediction on the run's text and its translations. It resumes exactly."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from areca.fitting.loop import train_steps
from areca.fitting.text_lm.corpus import newline_id
from areca.fitting.text_lm.options import TextOptions
from areca.job import Job

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

    A step depends only on the seed, its number and the weights. So a pretraining that was killed and resumed ends with
    the same weights as an uninterrupted one.

    Args:
        model: a causal language model on the job's device.
        tokenizer: its text tokenizer.
        texts: monolingual lines.
        translations: tag, text and translation, in the form of the task `mt`.
        config: batch, length, steps, learning rate.
        job: seed and progress; its work folder holds the saved states.

    Raises:
        Interrupted: Ctrl-C or SIGTERM arrived; the state is saved.
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
    """Return the ids of every line, int64 ``[N]``: a text, or a tag, a text and its translation.

    A newline follows each text. The parts of a line are encoded separately, like the segments of a task.
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
    """Return ids, int64 ``[rows, length]``: random lines, drawn from (seed, step), concatenated and cut to fit."""
    draw = np.random.default_rng([seed, step])
    chosen: list[np.ndarray[Any, np.dtype[np.int64]]] = []
    missing = rows * length
    while missing > 0:
        chosen.append(lines[int(draw.integers(len(lines)))])
        missing -= chosen[-1].size
    return torch.from_numpy(np.concatenate(chosen)[: rows * length].reshape(rows, length))
