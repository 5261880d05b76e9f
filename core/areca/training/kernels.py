"""Kernels for the time of a training: compiled layers, and attention over sequences of several lengths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from areca.errors import InvalidConfig, summarise

if TYPE_CHECKING:
    from areca.lm.model import SpeechLM

PLAIN = "auto"
"""The attention of the backbone."""


@contextmanager
def use_kernels(
    lm: SpeechLM,
    attention: str = PLAIN,
    *,
    compiled: bool = False,
    device: torch.device | str = "cpu",
    backend: str = "inductor",
) -> Iterator[None]:
    """Within the block, `lm` computes with other kernels; afterwards with those before it.

    Each layer is compiled by itself, for sequences of any length. The layers share their code, so the time does not
    grow with their number, and a layer may be recomputed in the backward pass or sharded over processes.

    Args:
        lm: the LM, changed in place. Its parameters and their names stay.
        attention: ``auto`` for that of the backbone, or ``flash_attention_2``.
        compiled: whether the layers are compiled.
        device: where the LM computes.
        backend: the backend of torch.compile.

    Raises:
        InvalidConfig: torch cannot compile on this machine, or the attention is not available.
    """
    device = torch.device(device)
    layers = find_layers(lm.model)
    before = lm.model.config._attn_implementation, lm.join_rows, [layer._compiled_call_impl for layer in layers]
    if compiled:
        _check_compiler(device, backend)
    if attention != PLAIN:
        _set_attention(lm, attention, device)
    try:
        for layer in layers:
            layer._compiled_call_impl = None
            if compiled:
                layer.compile(dynamic=True, backend=backend)
        yield
    finally:
        lm.model.set_attn_implementation(before[0])
        lm.join_rows = before[1]
        for layer, call in zip(layers, before[2], strict=True):
            layer._compiled_call_impl = call


def find_layers(model: Any) -> list[Any]:
    """Return the layers of a transformers model, or the whole model without its head if these are not marked."""
    return [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)] or [model.base_model]


def _set_attention(lm: SpeechLM, attention: str, device: torch.device) -> None:
    if device.type != "cuda":
        raise InvalidConfig(
            f"training.attention: {attention} computes on CUDA only, and the device is {device}: set it to auto"
        )
    try:
        lm.model.set_attn_implementation(attention)
    except (ImportError, ValueError) as error:
        raise InvalidConfig(
            f"training.attention: {attention} is not available ({summarise(error)}): install flash-attn, or set it to "
            "auto"
        ) from error
    if lm.model.config._attn_implementation != attention:  # transformers only warns
        raise InvalidConfig(
            f"training.attention: the family {lm.model.config.model_type!r} has no {attention}: set it to auto"
        )
    lm.join_rows = True


def _check_compiler(device: torch.device, backend: str) -> None:
    """Compile a sum, which takes seconds; without a compiler, the first step of the training would fail."""
    try:
        torch.compile(lambda x: x + 1, backend=backend)(torch.zeros(2, device=device))
    except Exception as error:  # torch raises many types
        raise InvalidConfig(
            f"training.compile: torch.compile does not work on {device} here ({summarise(error)}): install what is "
            "missing, such as a C++ compiler for the CPU or Triton for CUDA, or set it to false"
        ) from error
