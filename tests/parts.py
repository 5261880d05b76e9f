"""Open installed patterns and decoding methods by name, describe a tiny backbone, compute the loss of a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from areca.component import Kind
from areca.generation.decoding import DecodingMethod
from areca.lm.model import SpeechLM
from areca.registry.parts import Part, choose
from areca.registry.registry import Registry

REGISTRY = Registry.discover()


def pattern(name: str = "flatten", **options: Any) -> Part:
    return choose(REGISTRY, Kind.PATTERN, {**options, "name": name}, option="lm.pattern")


def method(name: str = "greedy", **options: Any) -> DecodingMethod:
    part = choose(REGISTRY, Kind.DECODING, {**options, "name": name}, option="decoding")
    loaded: DecodingMethod = part.entry.target().load(
        part.config, {}, None, device=torch.device("cpu"), dtype=torch.float32
    )
    return loaded


def tiny_decoder(**options: Any) -> dict[str, Any]:
    """Return a run's value of ``backbone:`` for a decoder that trains in seconds."""
    tiny = {"layers": 1, "width": 16, "feed_forward": 32, "heads": 2, "kv_heads": 2, "vocabulary_size": 280}
    return {"name": "decoder", **tiny, **options}


def loss(lm: SpeechLM, ids: Tensor, target: Tensor, **more: Tensor) -> tuple[Tensor, int]:
    """Return the summed loss of a batch, and the number of its targets."""
    losses = lm({"ids": ids, "target": target, **more})
    return losses.sum, len(losses.nats)
