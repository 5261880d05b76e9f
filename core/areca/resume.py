"""What an interrupted fit goes on from: safetensors files, each replaced in one step: a kill leaves old or new."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from areca.files import replacing

STATE = "state.safetensors"
"""Of a training, in its job's folder of work."""

T = TypeVar("T")


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file atomically: it is there complete, or as it was."""
    with replacing(path) as draft:
        save_file({k: v.contiguous() for k, v in tensors.items()}, draft, metadata)


def kept(folder: Path, chunks: Iterable[T], compute: Callable[[T], dict[str, torch.Tensor]]) -> Iterator[Path]:
    """Yield, for each chunk, the file of what `compute` makes of it, which is made unless it is there.

    Args:
        folder: of the files; made if it is not there. Nobody else's, and of the same chunks each time: a file is known
            by its number alone, so what decides how much a chunk holds belongs into the folder's name.
        chunks: in the same order each time.
        compute: returns tensors by name.
    """
    folder.mkdir(exist_ok=True)
    for number, chunk in enumerate(chunks):
        path = folder / f"{number:06}.safetensors"
        if not path.exists():
            write_tensors(path, compute(chunk))
        yield path


def save_state(path: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write what training needs to go on after `step` steps: weights, tied ones once, and the optimizer's moments.

    Not written are the optimizer's options, schedulers and random states: a step is to follow from the seed and its
    number alone. The optimizer keeps tensors, as those of ``torch.optim`` do.
    """
    moments = optimizer.state_dict()["state"]
    tensors = {f"model.{name}": x.detach() for name, x in _weights(model)}
    tensors |= {f"optimizer.{i}.{name}": x for i, state in moments.items() for name, x in state.items()}
    write_tensors(path, tensors, {"step": str(step)})


@torch.no_grad()
def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore what `save_state` wrote and return the number of steps done; 0 where there is no file."""
    if not path.exists():
        return 0
    with safe_open(path, "pt") as f:
        step = int(f.metadata()["step"])
    tensors = load_file(path)
    for name, x in _weights(model):
        x.copy_(tensors.pop(f"model.{name}"))
    moments: dict[int, dict[str, Any]] = {}
    for key, x in tensors.items():
        _, index, moment = key.split(".", 2)
        moments.setdefault(int(index), {})[moment] = x
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return step


def _weights(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    stored = model.state_dict().keys()
    named = itertools.chain(model.named_parameters(), model.named_buffers())
    return ((name, x) for name, x in named if name in stored)
