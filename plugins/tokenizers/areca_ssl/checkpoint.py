"""Encoders of transformers by hub id or directory: safetensors and JSON, never code or pickles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

from areca.errors import ArecaError, InvalidConfig
from areca.hub.loading import guarded, load_pretrained, read_model_config, snapshot
from areca.hub.weights import stored_tensors
from areca_ssl import SAMPLE_RATE_HZ, SslConfig

_UNUSED = "masked_spec_embed"
"""The vector that masks frames in pretraining: checkpoints lack it at times, and encoding never reads it."""

_ENCODER = re.compile(r"(\w+\.)?(encoder|feature_extractor|feature_projection)\.")
"""What an encoder's weights are called; heads for pretraining or recognition may lie beside them."""


def snapshot_of(config: SslConfig) -> Path:
    """Return the local directory of the hub's model; its name is the commit.

    Raises:
        MissingWeights: the hub cannot be reached.
    """
    return snapshot(config.model, config.revision, weights=True)


def pretrained(config: SslConfig, families: tuple[str, ...], extractor: Any) -> tuple[Any, Any]:
    """Load an encoder and how its input is computed.

    Args:
        config: names the hub id or directory, and the layer.
        families: transformers' ``model_type`` of what is expected.
        extractor: its feature extractor's class.

    Returns:
        The model in float32, in evaluation mode and on the CPU, and the feature extractor.

    Raises:
        InvalidConfig: a model of another family, of fewer layers, or whose weights are not all there.
        MissingWeights: the hub cannot be reached.
        ArecaError: transformers cannot load what is there.
    """
    where = config.path or snapshot_of(config)
    source = str(config.path or f"{config.model}@{where.name}")
    architecture = read_model_config(where, source)
    _check(config, architecture, families, source)
    if not stored_tensors(where, error=InvalidConfig):
        raise ArecaError(
            f"{source}: has no *.safetensors, and pickled weights are never read; give a `revision` that has them (the "
            f"hub's converter proposes them as refs/pr/N), or convert it with save_pretrained and give its `path`"
        )
    features = guarded(source, lambda: extractor.from_pretrained(where, local_files_only=True))
    if features.sampling_rate != SAMPLE_RATE_HZ:
        raise InvalidConfig(f"{source}: expected an encoder of {SAMPLE_RATE_HZ} Hz, got {features.sampling_rate} Hz")
    model = load_pretrained(
        AutoModel,
        where,
        source=source,
        config=architecture,
        dtype=torch.float32,
        lacking=lambda name: name.endswith(_UNUSED),
        left_over=lambda name: not _ENCODER.match(name),
    )
    return model.requires_grad_(False), features


def _check(config: SslConfig, architecture: Any, families: tuple[str, ...], source: str) -> None:
    family = architecture.model_type
    if family not in families:
        raise InvalidConfig(f"{source}: expected a model of type {' or '.join(families)}, got {family}")
    if config.layer > (layers := architecture.num_hidden_layers):
        raise InvalidConfig(f"{source}: its encoder has {layers} layers, got layer={config.layer}; give 1 to {layers}")
