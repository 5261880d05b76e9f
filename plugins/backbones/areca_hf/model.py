"""Load a causal language model of transformers and its text tokenizer."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from areca.errors import ArecaError, InvalidConfig, MissingDependency
from areca.interfaces import Backbone
from areca_hf import HFConfig, spec
from areca_hf.hub import snapshot

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
            ArecaError: the hub cannot be reached, or transformers cannot load what is there.
        """
        spec(config, {})
        found = _find(config)
        # transformers draws from the global generator, also for weights that loading then overwrites.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.init_seed)
            model = _guarded(found.source, lambda: _model(config, found, dtype))
        return Backbone(model=model.to(device).eval(), tokenizer=_text_tokenizer(config, found))


def _find(config: HFConfig) -> _Files:
    if config.model is not None:
        where = snapshot(config.model, config.revision, weights=config.weights == "pretrained")
        return _Files(where, {}, f"{config.model}@{where.name}")
    assert config.path is not None  # by spec()
    if config.path.suffix != ".gguf" or config.path.is_dir():
        return _Files(config.path, {}, str(config.path))
    if importlib.util.find_spec("gguf") is None:
        raise MissingDependency(f"{config.path}: GGUF files need the package gguf: pip install 'areca[gguf]'")
    return _Files(config.path.parent, {"gguf_file": config.path.name}, str(config.path))


def _model(config: HFConfig, found: _Files, dtype: torch.dtype) -> Any:
    architecture = AutoConfig.from_pretrained(found.where, trust_remote_code=False, **found.options)
    _set_dropout(architecture, config.dropout)
    if config.model is not None:
        setattr(architecture, SOURCE, found.source)
    if config.weights == "scratch":
        return _models.from_config(architecture, dtype=dtype, trust_remote_code=False)
    model = _pretrained(architecture, found, dtype)
    return _plain(model, architecture, dtype) if found.is_gguf else model


def _pretrained(architecture: Any, found: _Files, dtype: torch.dtype) -> Any:
    model, report = _models.from_pretrained(
        found.where,
        config=architecture,
        dtype=dtype,
        use_safetensors=None if found.is_gguf else True,
        trust_remote_code=False,
        output_loading_info=True,
        **found.options,
    )
    if missing := sorted(report["missing_keys"]):
        raise InvalidConfig(
            f"{found.source}: the weights lack {len(missing)} tensor(s) of a causal language model, as {missing[0]!r}; "
            f"give a model with its language-modelling head, or set `weights: scratch`"
        )
    return model


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
    where, options = found.where, found.options
    if config.text_tokenizer_path is not None:
        where, options = config.text_tokenizer_path, {}
    elif config.text_tokenizer is not None:
        where, options = snapshot(config.text_tokenizer, "main", weights=False), {}
    elif where.is_file():
        raise InvalidConfig(f"{where} brings no text tokenizer: give `text_tokenizer` or `text_tokenizer_path`")
    tokenizer = _guarded(str(where), lambda: AutoTokenizer.from_pretrained(where, trust_remote_code=False, **options))
    if not tokenizer.is_fast:
        raise InvalidConfig(f"{where}: expected a fast tokenizer (tokenizer.json), got {type(tokenizer).__name__}")
    return tokenizer


def _guarded(source: str, load: Any) -> Any:
    """Call `load`; what transformers raises for unusable files becomes one line that names the source."""
    try:
        return load()
    except ArecaError:
        raise
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if "trust_remote_code" in str(error):
            reason = "it needs code of its own, which areca never runs; give a model of a class in transformers"
        raise ArecaError(f"{source}: transformers cannot load it: {reason}") from error
