"""Text pretraining: next-token prediction on the recipe's text and its translations, resumable at any moment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from areca.interfaces import Job
from areca.resume import Steps
from areca_decoder.options import TextOptions
from areca_decoder.text import newline_id

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

    def step(number: int) -> None:
        ids = batch(lines, config.pretrain_batch, config.pretrain_length, job.seed, number).to(job.device)
        for group in optimizer.param_groups:
            group["lr"] = config.pretrain_learning_rate * schedule(number, config.pretrain_steps)
        loss = _step(model, optimizer, ids, job.seed + number)
        job.progress(number + 1, config.pretrain_steps, f"text loss {loss:.2f}")

    todo = Steps(job, model, optimizer, steps=config.pretrain_steps, save_every=config.save_every)
    model.train()
    todo.run(step)
    model.eval()


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


def schedule(step: int, steps: int) -> float:
    """Return the factor on the learning rate: a linear warm-up, then a cosine to 0."""
    warm_up = max(1, round(steps * WARM_UP))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _step(model: Any, optimizer: torch.optim.Optimizer, ids: torch.Tensor, seed: int) -> float:
    with torch.random.fork_rng(devices=[ids.device] if ids.is_cuda else []):  # dropout draws from the global state
        torch.manual_seed(seed)
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())
