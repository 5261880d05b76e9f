"""Training the LM: its options, one call that trains, and the loss on examples that it did not see."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import transformers

from areca.batching import bucket
from areca.interfaces import Progress, no_progress
from areca.lm.vocabulary import Control
from areca.run.devices import require_single_process
from areca.run.options import TrainingConfig
from areca.training.batches import Batches, Mixture
from areca.training.examples import Examples, collate
from areca.training.trainer import SpeechTrainer

if TYPE_CHECKING:
    from areca.lm.model import SpeechLM


def train(
    lm: SpeechLM,
    examples: Examples,
    weights: tuple[float, ...],
    config: TrainingConfig,
    *,
    seed: int,
    directory: Path,
    device: torch.device | str = "cpu",
    progress: Progress = no_progress,
) -> None:
    """Train `lm` in place, resuming from the last state in `directory` if there is one.

    A run that is killed and started again ends with the weights of one that was not.

    Args:
        lm: as it was before any training; the state's weights replace its own.
        examples: what to learn from.
        weights: the share of each task.
        config: options.
        seed: of the order of the examples and of dropout.
        directory: where states are kept; read only from runs made here.
        device: where to compute.
        progress: told the step, the loss and the tokens a second.

    Raises:
        ArecaError: the loss is no number any more.
        Interrupted: Ctrl-C or SIGTERM came; the state is saved.
        InvalidConfig: this is one of several processes.
    """
    require_single_process()
    directory.mkdir(parents=True, exist_ok=True)
    order = Batches(
        examples.lengths,
        Mixture(examples.sizes, weights, seed),
        config.batch_tokens,
        config.pool_examples,
        config.packing_tokens,
    )
    use_cache = lm.model.config.use_cache
    with _global_randomness_kept():
        trainer = SpeechTrainer(
            lm, examples, order, _arguments(config, seed, directory, device), progress, config.tokens_at_once
        )
        trainer.go_on()
    lm.model.config.use_cache = use_cache
    if config.checkpoint_activations:
        lm.model.activation_checkpointing_disable()
    lm.model.eval()


def _arguments(
    config: TrainingConfig, seed: int, directory: Path, device: torch.device | str
) -> transformers.TrainingArguments:
    return transformers.TrainingArguments(
        output_dir=str(directory),
        max_steps=config.steps,
        optim={"adafactor": "adafactor", "adamw": "adamw_torch"}[config.optimizer],
        learning_rate=config.learning_rate,
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(config.schedule, config.schedule),
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        max_grad_norm=config.clip_norm,
        seed=seed,
        bf16=config.precision == "bfloat16",
        activation_checkpointing=config.checkpoint_activations,
        use_cpu=torch.device(device).type == "cpu",
        save_steps=config.save_every_steps,
        logging_steps=config.log_every_steps,
        logging_nan_inf_filter=False,
        ignore_data_skip=True,  # the order of the data starts at any step by itself
        disable_tqdm=True,
        report_to="none",
    )


@contextlib.contextmanager
def _global_randomness_kept() -> Iterator[None]:
    # Dropout and the Trainer know no generators: they seed and use the global ones.
    before = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


@torch.inference_mode()
def mean_loss(
    lm: SpeechLM, examples: Examples, batch_tokens: int, progress: Progress = no_progress
) -> tuple[float, ...]:
    """Return each task's mean cross entropy (nats a target) over all its examples; NaN where it has none."""
    pad = lm.vocabulary.control(Control.PAD)
    losses, start = [], 0
    for size in examples.sizes:
        total, count = 0.0, 0
        for batch in bucket(examples.lengths[start : start + size], batch_tokens):
            inputs = collate(examples, list((batch + start)[:, None]), pad)
            device = lm.model.device
            loss, n = lm.loss(inputs["ids"].to(device), inputs["target"].to(device))
            total, count = total + float(loss), count + n
            progress(start + len(batch), len(examples), "validation")
        losses.append(total / count if count else math.nan)
        start += size
    return tuple(losses)
