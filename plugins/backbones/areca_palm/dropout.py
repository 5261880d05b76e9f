"""Residual dropout: dropout on the outputs of attention and feed-forward, which the class of transformers lacks."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.nn import functional as F


def add_residual_dropout(model: Any, share: float) -> None:
    """Add residual dropout to a model for training. Evaluation mode and saved files do not change.

    The dropout is added by hooks rather than a new class, so that a checkpoint needs no extra code to load.

    Args:
        model: a ``CohereForCausalLM``; changed in place.
        share: probability that a value is dropped, in [0, 1).
    """
    if share:
        for layer in model.model.layers:
            for block in (layer.self_attn, layer.mlp):
                block.register_forward_hook(partial(_drop, share=share))


def _drop(module: torch.nn.Module, _: Any, output: Any, *, share: float) -> Any:
    if isinstance(output, tuple):  # from attention: its output, then its weights
        return (F.dropout(output[0], share, module.training), *output[1:])
    return F.dropout(output, share, module.training)
