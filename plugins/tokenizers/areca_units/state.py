"""An interrupted training's state: one safetensors file, replaced in one step, so that a kill leaves old or new."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file atomically: it is there complete, or as it was."""
    temporary = path.with_suffix(".writing")
    save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, metadata)
    with temporary.open("rb+") as f:
        os.fsync(f.fileno())
    temporary.replace(path)


def save_state(path: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write what training needs to go on after `step` steps."""
    moments = optimizer.state_dict()["state"]
    tensors = {f"model.{name}": x for name, x in model.state_dict().items()}
    tensors |= {f"optimizer.{i}.{name}": x for i, state in moments.items() for name, x in state.items()}
    write_tensors(path, tensors, {"step": str(step)})


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore what `save_state` wrote and return the number of steps done; 0 where there is no file."""
    if not path.exists():
        return 0
    with safe_open(path, "pt") as f:
        step = int(f.metadata()["step"])
    tensors = load_file(path)
    model.load_state_dict(_below("model.", tensors))
    moments: dict[int, dict[str, Any]] = {}
    for name, x in _below("optimizer.", tensors).items():
        index, _, moment = name.partition(".")
        moments.setdefault(int(index), {})[moment] = x
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return step


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
