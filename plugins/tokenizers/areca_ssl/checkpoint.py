"""Load encoders of transformers from a hub id or directory: safetensors and JSON, never code or pickles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

from areca.errors import ArecaError, InvalidConfig
from areca.hub.guard import call_guarded
from areca.hub.loading import load_pretrained, read_model_config
from areca.hub.snapshots import fetch_snapshot
from areca.hub.weights import stored_tensors
from areca_ssl import SAMPLE_RATE_HZ, SslConfig

_UNUSED = "masked_spec_embed"
"""The vector that masks frames in pretraining. Some checkpoints lack it, and encoding never reads it."""

_ENCODER = re.compile(r"(\w+\.)?(encoder|feature_extractor|feature_projection)\.")
"""Matches names of an encoder's weights. A checkpoint may also hold heads for pretraining or recognition."""


def fetch_encoder(config: SslConfig) -> Path:
    """Return the local directory of the hub model. Its name is the commit.

    Raises:
        MissingWeights: the hub cannot be reached.
    """
    return fetch_snapshot(config.model, config.revision, weights=True)


def load_encoder(config: SslConfig, families: tuple[str, ...], extractor: Any) -> tuple[Any, Any]:
    """Load an encoder and its feature extractor.

    Args:
        config: names the hub id or directory, and the layer.
        families: accepted values of ``model_type`` in transformers.
        extractor: class of the feature extractor.

    Returns:
        The model in float32, in evaluation mode and on the CPU, and the feature extractor.

    Raises:
        InvalidConfig: the model belongs to another family, has too few layers, or lacks weights.
        MissingWeights: the hub cannot be reached.
        ArecaError: transformers cannot load the files.
    """
    # Check the config before any weights are read.
    directory = config.path or fetch_encoder(config)
    source = str(config.path or f"{config.model}@{directory.name}")
    architecture = read_model_config(directory, source)
    _check(config, architecture, families, source)
    if not stored_tensors(directory, error=InvalidConfig):
        raise ArecaError(
            f"{source}: has no *.safetensors, and pickled weights are never read; give a `revision` that has them (the "
            f"hub's converter proposes them as refs/pr/N), or convert it with save_pretrained and give its `path`"
        )
    features = call_guarded(source, lambda: extractor.from_pretrained(directory, local_files_only=True))
    if features.sampling_rate != SAMPLE_RATE_HZ:
        raise InvalidConfig(f"{source}: expected an encoder for {SAMPLE_RATE_HZ} Hz, got {features.sampling_rate} Hz")
    model = load_pretrained(
        AutoModel,
        directory,
        source=source,
        config=architecture,
        dtype=torch.float32,
        may_lack=lambda name: name.endswith(_UNUSED),
        may_ignore=lambda name: not _ENCODER.match(name),
    )
    return model.requires_grad_(False), features


def _check(config: SslConfig, architecture: Any, families: tuple[str, ...], source: str) -> None:
    family = architecture.model_type
    if family not in families:
        raise InvalidConfig(f"{source}: expected a model of type {' or '.join(families)}, got {family}")
    if config.layer > (layers := architecture.num_hidden_layers):
        raise InvalidConfig(f"{source}: its encoder has {layers} layers, got layer={config.layer}; give 1 to {layers}")
