"""Train an LM, and measure its loss on examples that it has not seen."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import transformers

from areca.batching import bucket
from areca.interfaces import Optimizer, Schedule
from areca.job import Progress, no_progress
from areca.lm.vocabulary import Control
from areca.run.options import TrainingConfig
from areca.run.processes import Processes
from areca.training.batches import Batches, Mixture
from areca.training.curves import Curve
from areca.training.examples import Examples, collate
from areca.training.kernels import use_kernels
from areca.training.sharding import shard
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
    processes: Processes | None = None,
) -> Curve:
    """Train `lm` in place, resuming from the last state in `directory` if there is one.

    A training that is killed and resumed ends with the same weights as an undisturbed one. Several processes compute
    the same batches as one, each a share of the rows; in float32 without dropout only rounding differs.

    Args:
        lm: the LM before any training; a saved state replaces its weights. With ``parallel: fsdp`` and several
            processes it is sharded, and stays so: `areca.training.sharding.gathered` makes it whole.
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
        processes: those that train together, each with the same arguments; None: this process only.

    Returns:
        The training curve.

    Raises:
        ArecaError: the loss is not finite, an observer failed, or the optimizer cannot update a sharded LM.
        Interrupted: Ctrl-C or SIGTERM was received; the state is saved.
    """
    processes = processes or Processes()
    directory.mkdir(parents=True, exist_ok=True)
    order = Batches(
        examples.lengths,
        Mixture(examples.sizes, weights, seed),
        config.batch_tokens,
        config.pool_examples,
        config.packing_tokens,
        config.batch_examples,
    )
    curve = Curve(tasks, device, processes)
    if config.shards(processes.count):
        shard(lm, processes)
    use_cache = lm.model.config.use_cache
    if config.checkpoint_activations:
        lm.model.activation_checkpointing_enable()
    kernels = use_kernels(lm, config.attention, compiled=config.compile, device=device)
    with _keep_global_randomness(device), kernels:
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
            validate=lambda: _validate_plainly(lm, validate),
            observers=observers,
            processes=processes,
        )
        if not processes.is_first:  # each process draws its own dropout
            torch.manual_seed(int(np.random.SeedSequence([seed, processes.rank]).generate_state(1)[0]))
        trainer.resume()
    lm.model.config.use_cache = use_cache
    if config.checkpoint_activations:
        lm.model.activation_checkpointing_disable()
    lm.eval()
    return curve


def _validate_plainly(lm: SpeechLM, validate: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
    """Measure the validation loss in float32, as after the training: FlashAttention has no kernel for it."""
    with use_kernels(lm):
        return validate()


class _Arguments(transformers.TrainingArguments):
    """The arguments of the Trainer, which otherwise takes the first GPU, and splits batches over all that it sees."""

    on = torch.device("cpu")

    @property
    def device(self) -> torch.device:
        """Where to compute."""
        _ = self._setup_devices  # it also joins the processes
        return self.on

    @property
    def n_gpu(self) -> int:
        """Number of GPUs of this process: at most one."""
        return int(self.on.type == "cuda")


def _build_arguments(
    config: TrainingConfig, seed: int, directory: Path, device: torch.device | str
) -> transformers.TrainingArguments:
    arguments = _Arguments(
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
        ddp_find_unused_parameters=False,  # every parameter takes part in every batch; see `SpeechLM.forward`
        report_to="none",  # trackers are among the observers
    )
    arguments.on = torch.device(device)
    if arguments.on.index is not None:
        torch.cuda.set_device(arguments.on)  # accelerate computes on the current GPU
    return arguments


@contextlib.contextmanager
def _keep_global_randomness(device: torch.device | str) -> Iterator[None]:
    # Dropout and the Trainer take no generators: they seed and use the global ones.
    before = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if torch.device(device).type == "cuda" else []):
            yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


class MeanLoss(NamedTuple):
    """A task's mean cross entropy over all its examples, in nats per target.

    Args:
        mean: over all targets; NaN: the task has no examples.
        by_stream: over the codes of each stream that has any, such as ``{"text": 0.2, "speech/0": 3.1}``; ``text``
            includes the controls, such as the end of a segment.
    """

    mean: float
    by_stream: dict[str, float]


@torch.no_grad()  # not inference_mode: the blocks of a sharded LM that it gathers could not be trained afterwards
def measure_mean_loss(
    lm: SpeechLM,
    examples: Examples,
    batch_tokens: int,
    progress: Progress = no_progress,
    processes: Processes | None = None,
) -> list[MeanLoss]:
    """Return each task's mean loss.

    Several processes measure every n-th batch each, and return the same numbers as one. All run the LM equally often,
    because a sharded LM runs in all processes at once.
    """
    processes = processes or Processes()
    pad, device = lm.vocabulary.control(Control.PAD), lm.model.device
    streams = {"text": range(lm.vocabulary.text_size + len(Control))}
    streams |= {name: lm.vocabulary.span(name) for name, _ in lm.vocabulary.streams}
    stops = torch.tensor([span.stop for span in streams.values()], device=device)
    means, start = [], 0
    for size in examples.sizes:
        batches = bucket(examples.lengths[start : start + size], batch_tokens)
        # Summed in one order, whoever measured them.
        measured = torch.zeros(2, len(streams), len(batches), dtype=torch.float64)
        for first in range(0, len(batches), processes.count):
            number = min(first + processes.rank, len(batches) - 1)
            inputs = collate(examples, list((batches[number] + start)[:, None]), pad, lm.slots)
            losses = lm({name: x.to(device) for name, x in inputs.items()})
            of_stream = torch.bucketize(losses.ids, stops, right=True)
            for k in range(len(streams)) if first + processes.rank == number else ():  # or another process counts it
                nats = losses.nats[of_stream == k]
                measured[:, k, number] = torch.tensor([float(nats.sum()), len(nats)], dtype=torch.float64)
            progress(start + len(batches[number]), len(examples), "validation")
        totals, counts = processes.sum(measured).sum(2).tolist()
        by_stream = {name: t / n for name, t, n in zip(streams, totals, counts, strict=True) if n}
        means.append(MeanLoss(sum(totals) / sum(counts) if sum(counts) else math.nan, by_stream))
        start += size
    return means
