"""Low-rank adapters through peft: put into a model, and merged into plain weights when it is saved."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from areca.errors import MissingDependency

RANK = 16
ALPHA = 32


def add_adapters(model: Any, seed: int) -> None:
    """Put LoRA (arXiv 2106.09685) beside every linear layer but the head, and freeze everything else.

    Raises:
        MissingDependency: peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as e:
        raise MissingDependency("lm.train: lora needs peft; pip install 'areca[lora]'") from e
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]):  # peft draws from the global state
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model)


@torch.no_grad()
def merged_state(model: Any) -> dict[str, Tensor]:
    """Return the state dict that `model` has with its adapters, if any, merged; the model stays as it is."""
    deltas = {
        f"{name}.base_layer.weight": module.get_delta_weight(adapter)
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight")
        for adapter in module.active_adapters
    }
    state = {name: value for name, value in model.state_dict().items() if ".lora_" not in name}
    state |= {name: state[name] + delta.to(state[name].dtype) for name, delta in deltas.items()}
    return {name.replace(".base_layer.", "."): value for name, value in state.items()}
