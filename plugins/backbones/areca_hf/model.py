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
from areca.hub.loading import fast_tokenizer, guarded, load_pretrained, named_tokenizer, read_model_config, snapshot
from areca.interfaces import Backbone
from areca_hf import HFConfig, spec
from areca_hf.stated import check_stated, stated

log = logging.getLogger(__name__)
_models: Any = AutoModelForCausalLM  # its methods are annotated in part only

RESIDUAL_DROPOUT = ("hidden_dropout", "resid_pdrop", "resid_dropout", "residual_dropout")
"""Names under which transformers configs keep the dropout on what attention and feed-forward add to the stream."""

SOURCE = "areca_source"
"""Attribute of the model's config that names the hub id and commit that the weights came from."""


@dataclass(frozen=True, slots=True)
class _Files:
    """Where config, weights and text tokenizer lie, in the form that every ``from_pretrained`` takes."""

    where: Path
    options: Mapping[str, Any]
    source: str

    @property
    def is_gguf(self) -> bool:
        return "gguf_file" in self.options


class HFBackbone:
    """The target of the component ``hf``."""

    @staticmethod
    def load(
        config: HFConfig, needs: Mapping[str, Any], files: Path | None, *, device: torch.device, dtype: torch.dtype
    ) -> Backbone:
        """Return the model in eval mode, in `dtype`, on `device`, with its text tokenizer.

        Raises:
            InvalidConfig: options that exclude each other, or weights that do not fit their config.
            MissingDependency: a GGUF file without the package gguf.
            MissingWeights: the hub cannot be reached.
            ArecaError: transformers cannot load what is there.
        """
        spec(config, {})
        found = _find(config, weights=config.weights == "pretrained")
        # transformers draws from the global generator, also for weights that loading then overwrites.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.init_seed)
            model = _model(config, found, dtype)
        return Backbone(model=model.to(device).eval(), tokenizer=_text_tokenizer(config, found))

    @staticmethod
    def architecture(config: HFConfig) -> Any:
        """Return the transformers config: the one stated in the recipe, or else that of the files; never weights.

        Raises:
            InvalidConfig: transformers knows no such architecture.
            MissingWeights: none is stated, and the hub cannot be reached.
        """
        spec(config, {})
        if config.architecture is not None:
            return stated(config.architecture)
        try:
            found = _find(config, weights=False)
        except ArecaError as error:
            hint = "state it in the recipe: backbone: {name: hf, architecture: {model_type: ..., hidden_size: ...}}"
            raise ArecaError(f"{error}\n  a dry run needs its architecture alone: {hint}") from error
        return _config_of(found)


def _find(config: HFConfig, *, weights: bool) -> _Files:
    if config.model is not None:
        where = snapshot(config.model, config.revision, weights=weights)
        return _Files(where, {}, f"{config.model}@{where.name}")
    assert config.path is not None  # by spec()
    if config.path.suffix != ".gguf" or config.path.is_dir():
        return _Files(config.path, {}, str(config.path))
    if importlib.util.find_spec("gguf") is None:
        raise MissingDependency(f"{config.path}: GGUF files need the package gguf: pip install 'areca[gguf]'")
    return _Files(config.path.parent, {"gguf_file": config.path.name}, str(config.path))


def _config_of(found: _Files) -> Any:
    if found.is_gguf:
        return guarded(
            found.source, lambda: AutoConfig.from_pretrained(found.where, trust_remote_code=False, **found.options)
        )
    if found.where.is_file():  # a config alone, for weights from scratch
        read_json(found.where, links=True, infinity=True, error=InvalidConfig)
        return guarded(found.source, lambda: AutoConfig.from_pretrained(found.where, trust_remote_code=False))
    return read_model_config(found.where, found.source)


def _model(config: HFConfig, found: _Files, dtype: torch.dtype) -> Any:
    architecture = _config_of(found)
    check_stated(config.architecture, architecture, found.source)
    _set_dropout(architecture, config.dropout)
    if config.model is not None:
        setattr(architecture, SOURCE, found.source)
    if config.weights == "scratch":
        return guarded(found.source, lambda: _models.from_config(architecture, dtype=dtype, trust_remote_code=False))
    if found.is_gguf:
        return guarded(found.source, lambda: _from_gguf(architecture, found, dtype))
    return load_pretrained(_models, found.where, source=found.source, config=architecture, dtype=dtype)


def _from_gguf(architecture: Any, found: _Files, dtype: torch.dtype) -> Any:
    model, report = _models.from_pretrained(
        found.where,
        config=architecture,
        dtype=dtype,
        trust_remote_code=False,
        output_loading_info=True,
        **found.options,
    )
    if missing := sorted(report["missing_keys"]):
        raise InvalidConfig(
            f"{found.source}: the weights lack {len(missing)} tensor(s) of a causal language model, as {missing[0]!r}; "
            f"give a model with its language-modelling head, or set `weights: scratch`"
        )
    return _plain(model, architecture, dtype)


def _plain(model: Any, architecture: Any, dtype: torch.dtype) -> Any:
    """Move weights into the plain class: transformers refuses to save a model that it dequantised from GGUF."""
    plain = _models.from_config(architecture, dtype=dtype, trust_remote_code=False)
    plain.load_state_dict(model.state_dict())
    return plain


def _set_dropout(architecture: Any, dropout: float) -> None:
    fields = [name for name in RESIDUAL_DROPOUT if hasattr(architecture, name)]
    for name in fields:
        setattr(architecture, name, dropout)
    if dropout and not fields:
        log.warning("%s has no residual dropout: `dropout: %g` has no effect", architecture.model_type, dropout)


def _text_tokenizer(config: HFConfig, found: _Files) -> Any:
    if config.text_tokenizer_path is not None or config.text_tokenizer is not None:
        return named_tokenizer(config.text_tokenizer, config.text_tokenizer_revision, config.text_tokenizer_path)
    if found.where.is_file():
        raise InvalidConfig(f"{found.where} brings no text tokenizer: give `text_tokenizer` or `text_tokenizer_path`")
    return fast_tokenizer(found.where, **found.options)
