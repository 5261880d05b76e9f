"""Compare training steps with a plain transformers loop: equal batches, equal optimizer, the model's own loss.

python -m bench.train_step           # speed
python -m bench.train_step memory    # peak memory
"""

from __future__ import annotations

import sys
import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from bench.figures import Figure, alternate, read_peak_mb, show
from bench.nano import CONFIG, WEIGHTS, examples, new_lm

from areca.testing.tiny import load_choice
from areca.training.batches import Batches, Mixture
from areca.training.examples import Examples, collate
from areca.training.train import train

STEPS = 15
CHOSEN: dict[str, Any] = {
    "tasks": [str(number) for number in range(len(WEIGHTS))],
    "optimizer": load_choice("optimizer", CONFIG.optimizer),
    "schedule": load_choice("schedule", CONFIG.schedule),
}
WARM = 3
ROUNDS = 7


class _Enough(Exception):
    pass


def draw_batches(found: Examples, steps: int) -> list[list[Any]]:
    order = Batches(found.lengths, Mixture(found.sizes, WEIGHTS, 0), CONFIG.batch_tokens, CONFIG.pool_examples)
    return list(islice(order.rows(), steps))


def measure_areca_s(found: Examples, directory: Path) -> float:
    """Return the seconds of `STEPS` steps of `areca.training.train`, after `WARM` steps of warm-up."""
    marks: list[float] = []

    def note(done: int, total: int, message: str = "") -> None:
        marks.append(time.perf_counter())
        if done == WARM + STEPS:
            raise _Enough

    try:
        train(new_lm(), found, WEIGHTS, CONFIG, **CHOSEN, seed=0, directory=directory, progress=note)
    except _Enough:
        return marks[-1] - marks[WARM - 1]
    raise AssertionError("training ended early")


def measure_plain_s(found: Examples) -> float:
    """Return the seconds of the same steps in a plain loop: the model's own loss, with the head at every position."""
    model = new_lm().model
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=CONFIG.learning_rate, weight_decay=CONFIG.weight_decay)
    start_s = 0.0
    for step, rows in enumerate(draw_batches(found, WARM + STEPS)):
        if step == WARM:
            start_s = time.perf_counter()
        batch = collate(found, rows, pad=0)
        labels = batch["ids"].masked_fill(~batch["target"], -100)
        model(input_ids=batch["ids"], labels=labels, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CONFIG.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - start_s


def measure(rounds: int = ROUNDS) -> list[Figure]:
    with TemporaryDirectory() as name:
        found = examples(new_lm(), Path(name))
        some = draw_batches(found, WARM + STEPS)[WARM:]
        targets = sum(int(collate(found, rows, pad=0)["target"].sum()) for rows in some)
        tokens = sum(int(found.lengths[np.concatenate(rows)].sum()) for rows in some)
        areca_s, plain_s, ratio = alternate(
            lambda: measure_areca_s(found, Path(name) / "work"), lambda: measure_plain_s(found), rounds
        )
    return [
        Figure("training step: speed over a plain loop's", 1 / ratio, "x", (">=", 1.0), f"median of {rounds} rounds"),
        Figure(
            "training step: areca",
            targets / areca_s,
            "target tokens/s",
            note=f"{tokens / areca_s:,.0f} tokens/s in all",
        ),
        Figure("training step: plain loop", targets / plain_s, "target tokens/s"),
    ]


def measure_memory() -> list[Figure]:
    with TemporaryDirectory() as name:
        measure_areca_s(examples(new_lm(), Path(name)), Path(name) / "work")
    return [Figure("peak memory of nano training", read_peak_mb(), "MB", ("<=", 2500))]


if __name__ == "__main__":
    show(measure_memory() if sys.argv[1:] == ["memory"] else measure())
