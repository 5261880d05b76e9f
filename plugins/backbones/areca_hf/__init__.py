"""Any causal language model of transformers as a backbone: hub id, directory, GGUF file, or a config from scratch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from areca import Component, Kind, hookimpl, run_seed, runtime
from areca.errors import InvalidConfig
from areca.files.reading import read_json
from areca.hub.weights import HUB_ID, stored_tensors
from areca.specs import BackboneSpec, Spec

ARECA_PLUGIN_API = 1

UNKNOWN_FAMILY = "unknown"
"""The family of a model whose config is not on this machine, or lies inside a GGUF file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HFConfig:
    """Options of the backbone ``hf``."""

    model: str | None = None
    """Hub id, as 'HuggingFaceTB/SmolLM2-135M'; give this or `path`."""
    path: Path | None = None
    """Directory in the hub's layout, GGUF file, or (from scratch) a config.json alone; give this or `model`."""
    revision: str = "main"
    """Branch, tag or commit of the hub model; only a commit always means the same weights."""
    weights: Literal["pretrained", "scratch"] = "pretrained"
    """'pretrained' loads the weights; 'scratch' takes the architecture alone and initialises it from `init_seed`."""
    init_seed: int = run_seed()
    """Seed of the initialisation, where weights are 'scratch'; the run's unless it is written."""
    text_tokenizer: str | None = None
    """Hub id of another text tokenizer than the model's own."""
    text_tokenizer_revision: str = "main"
    """Branch, tag or commit of `text_tokenizer`."""
    text_tokenizer_path: Path | None = None
    """Directory of another text tokenizer than the model's own."""
    dropout: float = 0.1
    """Residual dropout in training, where the architecture has it (GPT-NeoX, GPT-2, Phi; not Llama, Qwen, Gemma)."""
    architecture: dict[str, Any] | None = runtime(None)  # noqa: RUF009 (a field, and never changed)
    """What the model's config.json says, `model_type` first, for where it is not at hand: `areca validate` and a dry
    run go by it, and loading refuses a model whose config says otherwise."""


def spec(config: HFConfig, needs: Mapping[str, Spec]) -> BackboneSpec:
    """Say what `config` alone tells: the family where a config.json is stated or at hand, the size where weights are.

    Raises:
        InvalidConfig: options that exclude each other, or a path that does not hold what it should.
    """
    _check_options(config)
    if config.path is None or config.path.suffix == ".gguf":
        return BackboneSpec(str((config.architecture or {}).get("model_type", UNKNOWN_FAMILY)))
    file = config.path if config.path.suffix == ".json" else config.path / "config.json"
    return BackboneSpec(_model_type(file), _parameters(config.path) if config.path.is_dir() else None)


def _check_options(config: HFConfig) -> None:
    if (config.model is None) == (config.path is None):
        raise InvalidConfig("backbone hf: expected exactly one of `model` (a hub id) and `path` (a directory or file)")
    if config.text_tokenizer is not None and config.text_tokenizer_path is not None:
        raise InvalidConfig("backbone hf: expected at most one of `text_tokenizer` and `text_tokenizer_path`")
    if config.architecture is not None and not isinstance(config.architecture.get("model_type"), str):
        raise InvalidConfig(
            f"backbone hf: architecture: expected {{model_type: llama, hidden_size: ...}} as in a config.json, "
            f"got {config.architecture!r}"
        )
    if not 0 <= config.dropout < 1:
        raise InvalidConfig(f"backbone hf: dropout: expected 0 <= dropout < 1, got {config.dropout}")
    for option, hub_id in (("model", config.model), ("text_tokenizer", config.text_tokenizer)):
        if hub_id is not None and not HUB_ID.fullmatch(hub_id):
            hint = "path" if option == "model" else "text_tokenizer_path"
            raise InvalidConfig(
                f"backbone hf: {option}: expected a hub id like 'org/name', got {hub_id!r}; "
                f"a directory or file goes into `{hint}`"
            )
    if config.path is not None:
        _check_path(config.path, config.weights)


def _check_path(path: Path, weights: str) -> None:
    if not path.exists():
        raise InvalidConfig(f"backbone hf: path: {path} does not exist; give a directory, a .gguf or a config .json")
    if path.is_dir() and not (path / "config.json").is_file():
        raise InvalidConfig(f"backbone hf: path: {path} has no config.json; give a directory in the hub's layout")
    if path.is_file() and path.suffix not in (".gguf", ".json"):
        raise InvalidConfig(f"backbone hf: path: expected a directory, a .gguf or a config .json, got {path}")
    if path.suffix == ".json" and path.is_file() and weights == "pretrained":
        raise InvalidConfig(f"backbone hf: path: {path} holds no weights; set `weights: scratch` or give the directory")


def _model_type(file: Path) -> str:
    found = read_json(file, links=True, infinity=True, error=InvalidConfig).get("model_type")
    if not isinstance(found, str):
        raise InvalidConfig(f"backbone hf: {file} is not a transformers config: no `model_type` in it")
    return found


def _parameters(directory: Path) -> int | None:
    """Count the elements of every tensor by the headers of the safetensors files."""
    return sum(tensor.elements for tensor in stored_tensors(directory, error=InvalidConfig).values()) or None


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare the backbone ``hf``."""
    yield Component(
        kind=Kind.BACKBONE,
        name="hf",
        config=HFConfig,
        spec="areca_hf:spec",
        target="areca_hf.model:HFBackbone",
        summary="any causal LM of transformers: hub id, directory, GGUF file, or from scratch by its config",
        license="Apache-2.0",
        requires=("torch", "transformers"),
        paper="https://arxiv.org/abs/1910.03771",
    )
