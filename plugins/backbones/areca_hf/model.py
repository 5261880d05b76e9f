"""Load a causal language model of transformers and its text tokenizer."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from areca.errors import ArecaError, InvalidConfig, MissingDependency
from areca.files.reading import read_json
from areca.hub.guard import call_guarded
from areca.hub.loading import load_pretrained, read_model_config
from areca.hub.snapshots import fetch_snapshot
from areca.hub.tokenizers import load_fast_tokenizer, load_named_tokenizer
from areca.interfaces import Backbone
from areca_hf import HFConfig, spec
from areca_hf.architecture import build_config, check_architecture

log = logging.getLogger(__name__)
_models: Any = AutoModelForCausalLM  # only some of its methods have annotations

RESIDUAL_DROPOUT = ("hidden_dropout", "resid_pdrop", "resid_dropout", "residual_dropout")
"""Names of the residual dropout in transformers configs: dropout on the outputs of attention and feed-forward."""

SOURCE = "areca_source"
"""Attribute of the model's config that names the hub id and commit that the weights came from."""


@dataclass(frozen=True, slots=True)
class _ModelFiles:
    """Location of config, weights and text tokenizer, in the form that ``from_pretrained`` takes."""

    path: Path
    options: Mapping[str, Any]
    source: str
    """Name of the files in errors."""

    @property
    def is_gguf(self) -> bool:
        return "gguf_file" in self.options


class HFBackbone:
    """The target of the component ``hf``."""

    @staticmethod
    def load(
        config: HFConfig, needs: Mapping[str, Any], files: Path | None, *, device: torch.device, dtype: torch.dtype
    ) -> Backbone:
        """Return the model in evaluation mode, in `dtype`, on `device`, with its text tokenizer.

        Raises:
            InvalidConfig: options exclude each other, or the weights do not match their config.
            MissingDependency: a GGUF file is given, and the package gguf is not installed.
            MissingWeights: the hub cannot be reached.
            ArecaError: transformers cannot load the files.
        """
        spec(config, {})
        model_files = _locate(config, weights=config.weights == "pretrained")
        # transformers draws from the global generator, even for weights that it then overwrites.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.init_seed)
            model = _load_model(config, model_files, dtype)
        return Backbone(model=model.to(device).eval(), tokenizer=_load_text_tokenizer(config, model_files))

    @staticmethod
    def architecture(config: HFConfig) -> Any:
        """Return the transformers config: the one that `config` states, or the one in the files. No weights are read.

        Raises:
            InvalidConfig: transformers does not know the architecture.
            MissingWeights: no architecture is stated, and the hub cannot be reached.
        """
        spec(config, {})
        if config.architecture is not None:
            return build_config(config.architecture)
        try:
            model_files = _locate(config, weights=False)
        except ArecaError as error:
            hint = "state it in the recipe: backbone: {name: hf, architecture: {model_type: ..., hidden_size: ...}}"
            raise ArecaError(f"{error}\n  a dry run needs only the architecture: {hint}") from error
        return _read_config(model_files)


def _locate(config: HFConfig, *, weights: bool) -> _ModelFiles:
    if config.model is not None:
        snapshot = fetch_snapshot(config.model, config.revision, weights=weights)
        return _ModelFiles(snapshot, {}, f"{config.model}@{snapshot.name}")
    assert config.path is not None, "spec() requires `model` or `path`"
    if config.path.suffix != ".gguf" or config.path.is_dir():
        return _ModelFiles(config.path, {}, str(config.path))
    if importlib.util.find_spec("gguf") is None:
        raise MissingDependency(f"{config.path}: GGUF files need the package gguf: pip install 'areca[gguf]'")
    return _ModelFiles(config.path.parent, {"gguf_file": config.path.name}, str(config.path))


def _read_config(files: _ModelFiles) -> Any:
    if files.is_gguf:
        return call_guarded(
            files.source, lambda: AutoConfig.from_pretrained(files.path, trust_remote_code=False, **files.options)
        )
    if files.path.is_file():  # only a config.json, for weights from scratch
        read_json(files.path, links=True, infinity=True, error=InvalidConfig)
        return call_guarded(files.source, lambda: AutoConfig.from_pretrained(files.path, trust_remote_code=False))
    return read_model_config(files.path, files.source)


def _load_model(config: HFConfig, files: _ModelFiles, dtype: torch.dtype) -> Any:
    architecture = _read_config(files)
    check_architecture(config.architecture, architecture, files.source)
    _set_dropout(architecture, config.dropout)
    if config.model is not None:
        setattr(architecture, SOURCE, files.source)
    if config.weights == "scratch":
        return call_guarded(
            files.source, lambda: _models.from_config(architecture, dtype=dtype, trust_remote_code=False)
        )
    if files.is_gguf:
        return call_guarded(files.source, lambda: _load_gguf(architecture, files, dtype))
    return load_pretrained(_models, files.path, source=files.source, config=architecture, dtype=dtype)


def _load_gguf(architecture: Any, files: _ModelFiles, dtype: torch.dtype) -> Any:
    model, report = _models.from_pretrained(
        files.path,
        config=architecture,
        dtype=dtype,
        trust_remote_code=False,
        output_loading_info=True,
        **files.options,
    )
    if missing := sorted(report["missing_keys"]):
        raise InvalidConfig(
            f"{files.source}: the weights lack {len(missing)} tensor(s) of a causal language model, such as "
            f"{missing[0]!r}; give a model with its language-modelling head, or set `weights: scratch`"
        )
    return _copy_dequantized(model, architecture, dtype)


def _copy_dequantized(model: Any, architecture: Any, dtype: torch.dtype) -> Any:
    """Copy the weights into a new model: transformers refuses to save a model that it dequantized from GGUF."""
    copied = _models.from_config(architecture, dtype=dtype, trust_remote_code=False)
    copied.load_state_dict(model.state_dict())
    return copied


def _set_dropout(architecture: Any, dropout: float) -> None:
    fields = [name for name in RESIDUAL_DROPOUT if hasattr(architecture, name)]
    for name in fields:
        setattr(architecture, name, dropout)
    if dropout and not fields:
        log.warning("%s has no residual dropout: `dropout: %g` has no effect", architecture.model_type, dropout)


def _load_text_tokenizer(config: HFConfig, files: _ModelFiles) -> Any:
    if config.text_tokenizer_path is not None or config.text_tokenizer is not None:
        return load_named_tokenizer(config.text_tokenizer, config.text_tokenizer_revision, config.text_tokenizer_path)
    if files.path.is_file():
        raise InvalidConfig(f"{files.path} has no text tokenizer: give `text_tokenizer` or `text_tokenizer_path`")
    return load_fast_tokenizer(files.path, **files.options)
