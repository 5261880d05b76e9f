"""Check an accelerator against the CPU, and measure training steps of AudioPaLM's smaller sizes on it.

At most 8 minutes on a GPU. It is not part of ``make bench``, which needs none.

    python -m bench.gpu                  # the first of CUDA and MPS that works
    python -m bench.gpu --device cuda:1
    python -m bench.gpu --tiny           # the same code at a tiny size, for the CPU: its figures mean nothing

The checks train a small LM of random weights for some steps in float32 on the CPU and on the device, from the same
start, and compare the losses and the greedy answers. The figures are those of ``recipes/audiopalm.yaml`` with PaLM of
128M and 1B, random weights and random ids, bfloat16 and fused AdamW, with and without torch.compile.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from bench.figures import Figure, read_peak_mb, show
from bench.nano import CONFIG, WEIGHTS, examples, new_lm

from areca.errors import ArecaError, InvalidConfig
from areca.fields import Field
from areca.generation.generate import generate
from areca.lm.steps import Steps
from areca.pipeline.budget import Budget, count_attention_flops, estimate_budget, read_architecture
from areca.pipeline.pace import build_lm, run_pass
from areca.run.config import RunConfig, read_config
from areca.run.devices import AUTO, describe_device, resolve_device
from areca.run.options import Limits, TrainingConfig
from areca.testing.tiny import load_choice
from areca.training.examples import Examples, collate
from areca.training.kernels import use_kernels
from areca.training.train import train

RECIPE = Path(__file__).parent.parent / "recipes" / "audiopalm.yaml"
STEPS = 8
"""Training steps whose losses are compared."""
SAME_LOSS = 1e-3
"""Largest difference of a loss, in nats; float32 products of two machines differ by rounding."""
SAME_PACKED = 2e-2
"""The same for bfloat16 products."""
SAME_ANSWERS = 0.9
"""Smallest share of equal answers: after a near tie, a whole answer differs."""
PEAK_FLOPS = (  # the first match counts
    ("B200", 2250e12),
    ("GH200", 989e12),
    ("H200", 989e12),
    ("H100 PCIe", 756e12),
    ("H100 NVL", 835e12),
    ("H100", 989e12),
    ("A100", 312e12),
    ("L40S", 362e12),
    ("L4", 121e12),
    ("A10G", 70e12),
    ("A10", 125e12),
    ("A30", 165e12),
    ("4090", 165e12),
    ("3090", 71e12),
)
"""Dense bfloat16 operations a second, from NVIDIA's data sheets, by words of the device's name."""


@dataclass(frozen=True)
class Size:
    """What is measured.

    Args:
        name: a size of the backbone ``palm``.
        overrides: further overrides of the recipe.
        rows: number of sequences in a step.
        length: steps of each sequence.
        steps: number of timed steps.
        compiled: whether steps are measured plain, compiled or both.
        backend: the backend of torch.compile.
    """

    name: str
    overrides: tuple[str, ...] = ()
    rows: int = 8
    length: int = 1024
    steps: int = 20
    compiled: tuple[bool, ...] = (False, True)
    backend: str = "inductor"


SIZES = (Size("128M"), Size("1B"))
_NANO = ("layers=2", "width=32", "feed_forward=64", "heads=2", "head_width=16", "vocabulary_size=256")
TINY = Size("nano", tuple(f"backbone.{option}" for option in _NANO), rows=2, length=16, steps=1, backend="eager")


def check_device(device: torch.device, steps: int, prompts: int = 16) -> list[Figure]:
    """Compare losses and greedy answers of the device with those of the CPU."""
    with TemporaryDirectory() as name:
        found = examples(new_lm(), Path(name), rows=40)
        (losses, answers), (other_losses, other_answers) = (
            _train_and_answer(place, found, Path(name) / str(number), steps, prompts)
            for number, place in enumerate((torch.device("cpu"), device))
        )
    apart = max(abs(a - b) for a, b in zip(losses, other_losses, strict=True))
    equal = statistics.mean(a == b for a, b in zip(answers, other_answers, strict=True))
    return [
        Figure("losses on the device and the CPU: difference", apart, "nats", ("<=", SAME_LOSS), f"in {steps} steps"),
        Figure("greedy answers that are the CPU's", equal, "of all", (">=", SAME_ANSWERS), f"{prompts} prompts"),
    ]


def _train_and_answer(
    device: torch.device, found: Examples, directory: Path, steps: int, prompts: int
) -> tuple[list[float], list[tuple[int, ...]]]:
    """Return the loss of each step, and the ids of the answers after the last."""
    lm = new_lm()
    lm.model.to(device)
    options = replace(CONFIG, steps=steps, warmup_steps=0, log_every_steps=1, precision="float32")
    chosen = {kind: load_choice(kind, getattr(options, kind)) for kind in ("optimizer", "schedule")}
    tasks = [str(number) for number in range(len(WEIGHTS))]
    curve = train(lm, found, WEIGHTS, options, tasks=tasks, seed=0, directory=directory, device=device, **chosen)
    starts = [Steps.of(ids.ids[:length]) for ids, length in map(found.__getitem__, range(prompts))]
    limits, fields = Limits(max_text_ids=8, max_audio_frames=16), [Field("target.text"), Field("target.audio")]
    answers = generate(lm, starts, fields, load_choice("decoding", "greedy"), limits)
    return [row["loss"] for row in curve.rows], [answer.ids for answer in answers]


def check_attention(device: torch.device) -> list[Figure]:
    """Compare the loss of packed rows under FlashAttention with that under a mask, both in bfloat16."""
    lm = new_lm()
    lm.model.to(device)
    with TemporaryDirectory() as name:
        batch = collate(examples(lm, Path(name), rows=40), [np.arange(4), np.arange(4, 9)], pad=0)
    batch = {key: x.to(device) for key, x in batch.items()}
    means = []
    try:
        for attention in ("auto", "flash_attention_2"):
            with (
                use_kernels(lm, attention, device=device),
                torch.autocast(device.type, torch.bfloat16),
                torch.no_grad(),
            ):
                means.append(float(lm(batch).nats.mean()))
    except InvalidConfig as error:
        print(f"packed rows: not checked: {error}", flush=True)
        return []
    apart = abs(means[0] - means[1])
    return [Figure("packed rows with FlashAttention: difference", apart, "nats", ("<=", SAME_PACKED))]


def measure_size(size: Size, device: torch.device) -> list[Figure]:
    """Measure training steps, plain and compiled; a size that the device cannot train is only named."""
    run = _read_run(size)
    cost = estimate_budget(run, run.training)
    figures: list[Figure] = []
    for compiled in size.compiled:
        name = f"palm {size.name}, {'compiled' if compiled else 'plain'}"
        try:
            figures += _measure_steps(name, size, run, cost, device, compiled=compiled)
        except (ArecaError, RuntimeError) as error:  # no compiler, or out of memory
            print(f"{name}: not measured: {str(error).splitlines()[0]}", flush=True)
    return figures


def _read_run(size: Size) -> RunConfig:
    fused = "training.optimizer={name: adamw, fused: true}"
    return read_config(RECIPE, (f"backbone.size={size.name}", *size.overrides, fused))


def _measure_steps(
    name: str, size: Size, run: RunConfig, cost: Budget, device: torch.device, *, compiled: bool
) -> list[Figure]:
    training = replace(run.training, checkpoint_activations=False)
    lm, optimizer = build_lm(run, training, device)
    _draw_weights(lm, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with use_kernels(lm, compiled=compiled, device=device, backend=size.backend):
        for _ in range(3):  # the first compiles, or chooses kernels
            _make_step(lm, optimizer, training, size)
        _wait(device)
        start_s = time.perf_counter()
        for _ in range(size.steps):
            _make_step(lm, optimizer, training, size)
        _wait(device)
        step_s = (time.perf_counter() - start_s) / size.steps
    tokens = size.rows * size.length
    figures = [
        Figure(f"{name}: speed", tokens / step_s, "tokens/s", note=f"{size.rows} x {size.length} tokens a step"),
        Figure(f"{name}: peak memory", _read_peak_mb(device), "MB"),
    ]
    if peak := find_peak_flops(describe_device(device)):
        share = _count_flops(lm, run, cost, size) * tokens / step_s / peak
        figures.append(Figure(f"{name}: share of the peak", share, "of 1", note=f"{peak / 1e12:g} TFLOP/s"))
    return figures


def _make_step(lm: Any, optimizer: torch.optim.Optimizer, training: TrainingConfig, size: Size) -> None:
    run_pass(lm, training, size.rows, size.length)
    torch.nn.utils.clip_grad_norm_(lm.parameters(), training.clip_norm)
    optimizer.step()
    optimizer.zero_grad()


def _draw_weights(lm: Any, device: torch.device) -> None:
    """Draw matrices from a normal distribution: a GPU needs less power for zeros, and is faster."""
    generator = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for weight in lm.parameters():
            weight.normal_(std=0.02, generator=generator) if weight.ndim > 1 else weight.fill_(1.0)


def _count_flops(lm: Any, run: RunConfig, cost: Budget, size: Size) -> float:
    """Return the operations of a token: as in the dry run, but the output matrix is computed only at targets."""
    output = 6 * lm.model.get_output_embeddings().weight.numel()
    attention = count_attention_flops(read_architecture(run.backbone), size.length)
    return cost.matrix_flops - output / 2 + attention  # `run_pass` has targets in half of the steps


def find_peak_flops(name: str) -> float | None:
    """Return the dense bfloat16 operations a second of the device called `name`; None: it is not in the table."""
    words = set(name.replace("-", " ").replace("(", " ").replace(")", " ").split())
    return next((peak for known, peak in PEAK_FLOPS if set(known.split()) <= words), None)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _read_peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return torch.mps.driver_allocated_memory() / 1e6 if device.type == "mps" else read_peak_mb()


def measure(device: torch.device, sizes: tuple[Size, ...], steps: int = STEPS) -> Iterator[Figure]:
    yield from check_device(device, steps)
    yield from check_attention(device)
    for size in sizes:
        yield from measure_size(size, device)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu")
    parser.add_argument("--device", default=AUTO)
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args(words)
    device = resolve_device(given.device)
    if device.type == "cpu" and given.device == AUTO and not given.tiny:
        sys.exit("no GPU works here: --tiny runs the same code on the CPU, and --device cpu runs all of it, for hours")
    print(f"device: {describe_device(device)}", flush=True)
    for figure in measure(device, *(((TINY,), 2) if given.tiny else (SIZES,))):
        show([figure])


if __name__ == "__main__":
    main(sys.argv[1:])
