"""Print parameters, memory, FLOPs and time for ``areca train --dry-run``."""

from __future__ import annotations

import sys
from datetime import timedelta

import torch

from areca.artifacts.vectors import hourly_bytes
from areca.cli import common
from areca.errors import ArecaError
from areca.pipeline.budget import Budget, estimate_budget
from areca.pipeline.pace import measure_pace
from areca.run.config import RunConfig
from areca.run.options import TrainingConfig


def print_budget(run: RunConfig, training: TrainingConfig, device: torch.device | str = "cpu") -> None:
    """Print what training `run` on `device` would take. A few training steps are timed.

    Raises:
        ArecaError: the backbone's architecture is not known without weights.
    """
    cost = estimate_budget(run, training)
    print()
    common.print_table(("parameters", "count", "of"), _parameter_rows(run, cost))
    print()
    common.print_table(("memory", "bytes", "of"), _memory_rows(run, cost))
    if run.reads_vectors:
        print()
        common.print_table(("vectors", "bytes", "of"), [_vector_row(run)])
    print()
    common.print_table(("compute", "FLOPs", "of"), _compute_rows(training, cost))
    print("\n" + _measure_time(run, training, cost, device))
    print(
        f"\nnothing was built. The memory above does not include the activations of {training.tokens_at_once:,} tokens "
        "(training.micro_batch_tokens, training.checkpoint_activations) and the other components of the run."
    )


def _parameter_rows(run: RunConfig, cost: Budget) -> list[tuple[str, str, str]]:
    streams = ", ".join(f"{role} {' + '.join(map(str, streams))}" for role, streams in run.lm_streams.items())
    adapters = ", with adapters" if run.lm.train == "lora" else ""
    adapters += ", with the adapter of vectors" if run.reads_vectors else ""
    adapters += ", with the depth transformer" if run.lm.depth_size else ""
    return [
        ("text LM", f"{cost.text_parameters:,}", f"{cost.family}, by backbone {run.backbone.name}"),
        ("new rows", f"{cost.new_parameters:,}", f"{cost.new_rows:,} rows: controls, {streams}{adapters}"),
        ("total", f"{cost.parameters:,}", ""),
        ("trained", f"{cost.trained:,}", f"lm.train: {run.lm.train}"),
    ]


def _memory_rows(run: RunConfig, cost: Budget) -> list[tuple[str, str, str]]:
    kinds = {
        "weights": "float32",
        "gradients": "float32",
        "optimizer": run.training_parts["optimizer"].name,
        "total": "",
    }
    return [(kind, common.format_quantity(getattr(cost.memory, kind), "B"), of) for kind, of in kinds.items()]


def _vector_row(run: RunConfig) -> tuple[str, str, str]:
    tokenizer = run.tokenizers[run.lm.reads]
    spec, size = tokenizer.spec, hourly_bytes(tokenizer.spec)
    if size is None:
        return "an hour of audio", "?", f"tokenizer {tokenizer.name} states no size before it is trained or loaded"
    of = f"{spec.streams[0].frame_rate_hz:g} Hz x {spec.feature_size} float16, on disk, by tokenizer {tokenizer.name}"
    return "an hour of audio", common.format_quantity(size, "B"), of


def _compute_rows(training: TrainingConfig, cost: Budget) -> list[tuple[str, str, str]]:
    batch = training.batch_tokens
    return [
        ("a token", common.format_quantity(cost.flops, ""), "training, forward and backward, at most"),
        (
            "  matrices",
            common.format_quantity(cost.matrix_flops, ""),
            "6 for each trained weight, 4 for each frozen weight",
        ),
        ("  attention", common.format_quantity(cost.attention_flops, ""), f"over {cost.length:,} tokens"),
        ("a step", common.format_quantity(cost.flops * batch, ""), f"of {batch:,} tokens"),
        ("the run", common.format_quantity(cost.flops * batch * training.steps, ""), f"of {training.steps:,} steps"),
    ]


def _measure_time(run: RunConfig, training: TrainingConfig, cost: Budget, device: torch.device | str) -> str:
    print("timing a few steps ...", file=sys.stderr, flush=True)
    try:
        pace = measure_pace(run, training, cost, device)
    except ArecaError as error:
        return f"time: not measured: {error}"
    whole = timedelta(seconds=round(pace.step_s * training.steps))
    machine = f"{pace.device}, {pace.threads} threads" if pace.device == "cpu" else pace.device
    return (
        f"time: about {pace.step_s:.3g} s a step, {whole} for {training.steps:,} steps of at most "
        f"{training.batch_tokens:,} tokens. Measured here ({machine}) in {pace.passes} passes, forward and backward, "
        f"of {pace.rows} x {pace.length} random tokens through this architecture, and a step of its optimizer. The "
        "time for data, fitted parts and tokens is not included."
    )
