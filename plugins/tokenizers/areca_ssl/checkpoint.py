"""Encoders of transformers by hub id or directory: safetensors and JSON, never code or pickles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel

from areca.errors import ArecaError, InvalidConfig
from areca_hf.hub import snapshot
from areca_hf.text import guarded
from areca_ssl import SAMPLE_RATE_HZ, SslConfig

_UNUSED = "masked_spec_embed"
"""The vector that masks frames in pretraining: checkpoints lack it at times, and encoding never reads it."""


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
    architecture = guarded(source, lambda: AutoConfig.from_pretrained(where, trust_remote_code=False))
    _check(config, architecture, families, source)
    if not any(where.glob("*.safetensors")):
        raise ArecaError(
            f"{source}: has no *.safetensors, and pickled weights are never read; give a `revision` that has them (the "
            f"hub's converter proposes them as refs/pr/N), or convert it with save_pretrained and give its `path`"
        )
    features = guarded(source, lambda: extractor.from_pretrained(where))
    if features.sampling_rate != SAMPLE_RATE_HZ:
        raise InvalidConfig(f"{source}: expected an encoder of {SAMPLE_RATE_HZ} Hz, got {features.sampling_rate} Hz")
    # transformers draws from the global generator, also for weights that loading then overwrites.
    with torch.random.fork_rng(devices=[]):
        model, report = guarded(
            source,
            lambda: AutoModel.from_pretrained(
                where,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            ),
        )
    if missing := sorted(name for name in report["missing_keys"] if not name.endswith(_UNUSED)):
        raise InvalidConfig(
            f"{source}: the weights lack {len(missing)} tensor(s) of the encoder, as {missing[0]!r}; "
            f"give a complete checkpoint of {type(model).__name__}"
        )
    return model.eval().requires_grad_(False), features


def _check(config: SslConfig, architecture: Any, families: tuple[str, ...], source: str) -> None:
    family = architecture.model_type
    if family not in families:
        raise InvalidConfig(f"{source}: expected a model of type {' or '.join(families)}, got {family}")
    if config.layer > (layers := architecture.num_hidden_layers):
        raise InvalidConfig(f"{source}: its encoder has {layers} layers, got layer={config.layer}; give 1 to {layers}")
