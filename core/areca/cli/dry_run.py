"""What ``areca train --dry-run`` prints after the steps: parameters, memory, FLOPs and time."""

from __future__ import annotations

import sys
from datetime import timedelta

import torch

from areca.cli import common
from areca.errors import ArecaError
from areca.pipeline.budget import Budget, budget
from areca.pipeline.pace import measure_pace
from areca.run.config import RunConfig
from areca.run.options import TrainingConfig


def print_budget(run: RunConfig, training: TrainingConfig, device: torch.device | str = "cpu") -> None:
    """Print what training `run` on `device` would take. A few training steps are timed.

    Raises:
        ArecaError: the backbone does not tell its architecture without weights.
    """
    cost = budget(run, training)
    print()
    common.print_table(("parameters", "count", "of"), _parameters(run, cost))
    print()
    common.print_table(("memory", "bytes", "of"), _memory(run, cost))
    print()
    common.print_table(("compute", "FLOPs", "of"), _compute(training, cost))
    print("\n" + _time(run, training, cost, device))
    print(
        f"\nnothing was built. The memory above does not include the activations of {training.tokens_at_once:,} tokens "
        "(training.micro_batch_tokens, training.checkpoint_activations) and the other components of the run."
    )


def _parameters(run: RunConfig, cost: Budget) -> list[tuple[str, str, str]]:
    streams = ", ".join(f"{role} {' + '.join(map(str, streams))}" for role, streams in run.lm_streams.items())
    adapters = ", with adapters" if run.lm.train == "lora" else ""
    return [
        ("text LM", f"{cost.text_parameters:,}", f"{cost.family}, by backbone {run.backbone.name}"),
        ("new rows", f"{cost.new_parameters:,}", f"{cost.new_rows:,} rows: controls, {streams}{adapters}"),
        ("total", f"{cost.parameters:,}", ""),
        ("trained", f"{cost.trained:,}", f"lm.train: {run.lm.train}"),
    ]


def _memory(run: RunConfig, cost: Budget) -> list[tuple[str, str, str]]:
    kinds = {
        "weights": "float32",
        "gradients": "float32",
        "optimizer": run.training_parts["optimizer"].name,
        "total": "",
    }
    return [(kind, common.quantity(getattr(cost.memory, kind), "B"), of) for kind, of in kinds.items()]


def _compute(training: TrainingConfig, cost: Budget) -> list[tuple[str, str, str]]:
    batch = training.batch_tokens
    return [
        ("a token", common.quantity(cost.flops, ""), "training, forward and backward, at most"),
        ("  matrices", common.quantity(cost.matrix_flops, ""), "6 for each trained weight, 4 for each frozen weight"),
        ("  attention", common.quantity(cost.attention_flops, ""), f"over {cost.length:,} tokens"),
        ("a step", common.quantity(cost.flops * batch, ""), f"of {batch:,} tokens"),
        ("the run", common.quantity(cost.flops * batch * training.steps, ""), f"of {training.steps:,} steps"),
    ]


def _time(run: RunConfig, training: TrainingConfig, cost: Budget, device: torch.device | str) -> str:
    print("timing a few steps ...", file=sys.stderr, flush=True)
    try:
        pace = measure_pace(run, training, cost, device)
    except ArecaError as error:
        return f"time: not measured: {error}"
    whole = timedelta(seconds=round(pace.step_s * training.steps))
    where = f"{pace.device}, {pace.threads} threads" if pace.device == "cpu" else pace.device
    return (
        f"time: about {pace.step_s:.3g} s a step, {whole} for {training.steps:,} steps of at most "
        f"{training.batch_tokens:,} tokens. Measured here ({where}) in {pace.passes} passes, forward and backward, of "
        f"{pace.rows} x {pace.length} random tokens through this architecture, and a step of its optimizer. The "
        "time for data, fitted parts and tokens is not included."
    )
