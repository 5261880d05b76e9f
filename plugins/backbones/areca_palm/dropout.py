"""Dropout on what each block adds to the residual stream, which transformers' class does not have."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.nn import functional as F


def add_residual_dropout(model: Any, share: float) -> None:
    """Let training drop a share of what attention and feed-forward return; eval mode and saved files stay as they are.

    It is done by hooks rather than a class of its own, so that a checkpoint is a plain one that needs no code.

    Args:
        model: a ``CohereForCausalLM``; changed in place.
        share: probability that a value is dropped, in [0, 1).
    """
    if share:
        for layer in model.model.layers:
            for block in (layer.self_attn, layer.mlp):
                block.register_forward_hook(partial(_drop, share=share))


def _drop(module: torch.nn.Module, _: Any, output: Any, *, share: float) -> Any:
    if isinstance(output, tuple):  # attention: what it adds, then its weights
        return (F.dropout(output[0], share, module.training), *output[1:])
    return F.dropout(output, share, module.training)
