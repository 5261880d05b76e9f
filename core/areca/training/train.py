"""Train an LM, and measure its loss on examples that it has not seen."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import transformers

from areca.batching import bucket
from areca.interfaces import Optimizer, Schedule
from areca.job import Progress, no_progress
from areca.lm.vocabulary import Control
from areca.run.devices import require_single_process
from areca.run.options import TrainingConfig
from areca.training.batches import Batches, Mixture
from areca.training.curves import Curve
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
    tasks: Sequence[str],
    optimizer: Optimizer,
    schedule: Schedule,
    seed: int,
    directory: Path,
    device: torch.device | str = "cpu",
    progress: Progress = no_progress,
    validate: Callable[[], Mapping[str, float]] = dict,
    observers: Sequence[transformers.TrainerCallback] = (),
) -> Curve:
    """Train `lm` in place, resuming from the last state in `directory` if there is one.

    A training that is killed and resumed ends with the same weights as an undisturbed one.

    Args:
        lm: the LM before any training; a saved state replaces its weights.
        examples: the training examples.
        weights: the share of each task.
        config: options.
        tasks: the name of each task, for the curve.
        optimizer: builds the optimizer.
        schedule: sets the learning rate after the warm-up.
        seed: seeds the order of the examples and dropout.
        directory: folder of saved states. It must hold only states that were saved on this machine.
        device: where to compute.
        progress: receives the step, the loss and the tokens per second.
        validate: measures the validation loss by task, for ``validate_every_steps``.
        observers: receive the Trainer's events.

    Returns:
        The training curve.

    Raises:
        ArecaError: the loss is not finite, or an observer failed.
        Interrupted: Ctrl-C or SIGTERM was received; the state is saved.
        InvalidConfig: a launcher started several processes.
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
    curve = Curve(tasks, device)
    use_cache = lm.model.config.use_cache
    if config.checkpoint_activations:
        lm.model.activation_checkpointing_enable()
    with _keep_global_randomness():
        trainer = SpeechTrainer(
            lm,
            examples,
            order,
            _build_arguments(config, seed, directory, device),
            optimizer=optimizer,
            schedule=schedule,
            curve=curve,
            progress=progress,
            tokens_at_once=config.tokens_at_once,
            validate=validate,
            observers=observers,
        )
        trainer.resume()
    lm.model.config.use_cache = use_cache
    if config.checkpoint_activations:
        lm.model.activation_checkpointing_disable()
    lm.eval()
    return curve


def _build_arguments(
    config: TrainingConfig, seed: int, directory: Path, device: torch.device | str
) -> transformers.TrainingArguments:
    return transformers.TrainingArguments(
        output_dir=str(directory),
        max_steps=config.steps,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        max_grad_norm=config.clip_norm,
        seed=seed,
        bf16=config.precision == "bfloat16",
        use_cpu=torch.device(device).type == "cpu",
        save_steps=config.save_every_steps,
        logging_steps=config.log_every_steps,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if config.validate_every_steps else "no",
        eval_steps=config.validate_every_steps or None,
        ignore_data_skip=True,  # `Batches` starts at any step
        disable_tqdm=True,
        report_to="none",  # trackers are among the observers
    )


@contextlib.contextmanager
def _keep_global_randomness() -> Iterator[None]:
    # Dropout and the Trainer take no generators: they seed and use the global ones.
    before = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


@torch.inference_mode()
def measure_mean_loss(
    lm: SpeechLM, examples: Examples, batch_tokens: int, progress: Progress = no_progress
) -> tuple[float, ...]:
    """Return each task's mean cross entropy over all its examples, in nats per target; NaN: it has no examples."""
    pad = lm.vocabulary.control(Control.PAD)
    means, start = [], 0
    for size in examples.sizes:
        total, count = 0.0, 0
        for batch in bucket(examples.lengths[start : start + size], batch_tokens):
            inputs = collate(examples, list((batch + start)[:, None]), pad, lm.slots)
            losses = lm({name: x.to(lm.model.device) for name, x in inputs.items()})
            total, count = total + float(losses.nats.sum()), count + len(losses.nats)
            progress(start + len(batch), len(examples), "validation")
        means.append(total / count if count else math.nan)
        start += size
    return tuple(means)
