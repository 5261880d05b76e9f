"""Add low-rank adapters (peft) to a model, and merge them into its weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from areca.errors import MissingDependency

RANK = 16
ALPHA = 32


def add_adapters(model: Any, seed: int) -> None:
    """Add LoRA adapters (arXiv 2106.09685) to every linear layer except the head, and freeze all other parameters.

    Args:
        model: a transformers causal LM; changed in place.
        seed: seed of the adapters' initial weights.

    Raises:
        MissingDependency: peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as e:
        raise MissingDependency("lm.train: lora needs peft: pip install 'areca[lora]'") from e
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]):  # peft draws from the global generator
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model)


@torch.no_grad()
def merge_adapters(model: Any) -> dict[str, Tensor]:
    """Return the state dict of `model` with its adapters, if any, merged into the weights; `model` is unchanged."""
    deltas = {
        f"{name}.base_layer.weight": module.get_delta_weight(adapter)
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight")
        for adapter in module.active_adapters
    }
    state = {name: value for name, value in model.state_dict().items() if ".lora_" not in name}
    state |= {name: state[name] + delta.to(state[name].dtype) for name, delta in deltas.items()}
    return {name.replace(".base_layer.", "."): value for name, value in state.items()}
