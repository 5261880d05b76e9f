"""Measure how long a training step takes on this machine, in a few steps of a run's architecture."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.errors import ArecaError, summarise
from areca.lm.depth import build_depth
from areca.lm.model import SpeechLM
from areca.lm.steps import NO_ID
from areca.pipeline.budget import Budget, extend_on_meta, make_layout
from areca.run.config import RunConfig
from areca.run.options import TrainingConfig
from areca.training.kernels import use_kernels

_LENGTH = 512
"""Maximum tokens of the timed sequences: an utterance with its text seldom has more."""
_MEASURE_S = 6.0
"""Maximum seconds of all timed passes together, without the warm-up passes before them."""
_PASSES = 5
_START_S = 20.0
"""Maximum seconds for building the model and its first passes, as estimated from the machine's speed."""
_BYTES_PER_S = 2e9
"""Rough speed at which weights, gradients and states are first written."""
_ROOM = 0.5
"""Maximum share of the free memory for weights, gradients and the optimizer's state; activations need the rest."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The time of a training step.

    Args:
        step_s: seconds of an optimizer step on a full batch.
        rows, length: number of sequences in a timed pass, and tokens of each.
        passes: number of timed passes, forward and backward.
        device: the device that was timed.
        threads: number of processor threads.
    """

    step_s: float
    rows: int
    length: int
    passes: int
    device: str
    threads: int


def measure_pace(run: RunConfig, training: TrainingConfig, cost: Budget, device: torch.device | str = "cpu") -> Pace:
    """Time training steps of the run's architecture for some seconds, on random ids with weights of zero.

    Args:
        run: the run.
        training: its training options.
        cost: the result of `areca.pipeline.budget.estimate_budget`.
        device: where to compute.

    Raises:
        ArecaError: the model does not fit into the free memory, or is too slow on this device to be timed.
    """
    device = torch.device(device)
    free = _measure_free_bytes(device)
    if cost.memory.total > _ROOM * free:
        raise ArecaError(f"it would take {cost.memory.total / 1e9:.1f} GB, and {device} has {free / 1e9:.1f} GB free")
    start_s = cost.memory.total / _BYTES_PER_S + 3 * cost.flops * min(cost.length, _LENGTH) / _measure_speed(device)
    if start_s > _START_S:
        raise ArecaError(f"the model is too large to be timed on {device}: its first passes would take {start_s:.0f} s")
    try:
        lm, optimizer = build_lm(run, training, device)
        with use_kernels(lm, training.attention, compiled=training.compile, device=device):
            return _measure(lm, optimizer, training, cost, device)
    except (RuntimeError, NotImplementedError) as error:  # out of memory, or a missing kernel
        raise ArecaError(summarise(error)) from error


def _measure(
    lm: SpeechLM, optimizer: torch.optim.Optimizer, training: TrainingConfig, cost: Budget, device: torch.device
) -> Pace:
    length = min(cost.length, _LENGTH)
    rows = max(1, training.tokens_at_once // length)

    def time_call(call: Callable[[], Any]) -> float:
        start_s = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start_s

    # The second pass of one row shows how many rows fit into the time.
    one_s = [time_call(lambda: run_pass(lm, training, 1, length)) for _ in range(2)][-1]
    rows = max(1, min(rows, int(_MEASURE_S / _PASSES / one_s)))
    if training.compile:  # code for one row is not that for several
        run_pass(lm, training, rows, length)
    passes_s: list[float] = []
    while len(passes_s) < _PASSES and sum(passes_s) < _MEASURE_S:
        passes_s.append(time_call(lambda: run_pass(lm, training, rows, length)))
    optimizer_s = [time_call(optimizer.step) for _ in range(2)][-1]  # the first creates the state
    step_s = statistics.median(passes_s) * training.batch_tokens / (rows * length) + optimizer_s
    return Pace(step_s, rows, length, len(passes_s), str(device), torch.get_num_threads())


def build_lm(run: RunConfig, training: TrainingConfig, device: torch.device) -> tuple[SpeechLM, torch.optim.Optimizer]:
    """Return the run's LM, without a text tokenizer and with weights of zero, and its optimizer.

    Raises:
        ArecaError, MissingDependency: as for `areca.pipeline.budget.estimate_budget`.
    """
    model, vocabulary = extend_on_meta(run)
    model.to_empty(device=device)
    model.tie_weights()
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.zero_()  # uninitialised memory may hold denormal numbers, which are slow
    model.train()
    if training.checkpoint_activations:
        model.gradient_checkpointing_enable()
    layout = make_layout(run, vocabulary)
    depth = build_depth(layout, model, run.seed) if layout.has_depth else None
    unused: Any = None  # the loss needs no text
    lm = SpeechLM(model, unused, layout, depth, run.lm.train)
    chosen = PartLoader(Store(), seed=run.seed, device=device).instance(run.training_parts["optimizer"])
    return lm, chosen.build(lm.parameter_groups(training.weight_decay), training.learning_rate)


def run_pass(lm: SpeechLM, training: TrainingConfig, rows: int, length: int) -> None:
    """Add the gradients of the mean loss of random ids, in which the second half of each row is the answer.

    Args:
        lm: the LM.
        training: options of the training.
        rows: number of sequences.
        length: steps of each sequence.
    """
    device = next(lm.model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    spans = [range(lm.vocabulary.size), *lm.writes.spans[1 : lm.writes.slots]]
    slots = [torch.randint(s.start, s.stop, (rows, length), generator=generator) for s in spans]
    slots += [torch.full_like(slots[0], NO_ID)] * (lm.slots - len(slots))
    ids = (torch.stack(slots, dim=-1) if lm.slots > 1 else slots[0]).to(device)
    target = (torch.arange(length, device=device) >= length // 2).expand(rows, length)  # half of it is the answer
    with torch.autocast(device.type, torch.bfloat16, enabled=training.precision == "bfloat16"):
        losses = lm({"ids": ids, "target": target})
    torch.autograd.backward(losses.sum / len(losses.nats))


def _measure_speed(device: torch.device) -> float:
    """Return the floating-point operations a second of a product of matrices."""
    size = 1024 if device.type == "cpu" else 4096
    matrix = torch.ones(size, size, device=device)
    for _ in range(2):  # the first warms up
        start_s = time.perf_counter()
        _ = float((matrix @ matrix)[0, 0])  # waits for the device
        took_s = time.perf_counter() - start_s
    return 2 * size**3 / took_s


def _measure_free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
