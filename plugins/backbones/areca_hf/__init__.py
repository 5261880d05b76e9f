"""Any causal LM of transformers as a backbone: from a hub id, a directory or a GGUF file, or from scratch."""

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
"""The family of a model whose config is not on this machine, or is inside a GGUF file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HFConfig:
    """Options of the backbone ``hf``."""

    model: str | None = None
    """Hub id, such as 'HuggingFaceTB/SmolLM2-135M'. Give either this or `path`."""
    path: Path | None = None
    """Directory in the hub's layout, GGUF file, or config.json (for `scratch`). Give either this or `model`."""
    revision: str = "main"
    """Branch, tag or commit of the hub model; only a commit always means the same weights."""
    weights: Literal["pretrained", "scratch"] = "pretrained"
    """'pretrained' loads the weights; 'scratch' uses only the architecture, with random weights from `init_seed`."""
    init_seed: int = run_seed()
    """Seed of the random weights with `weights: scratch` (default: the run's seed)."""
    text_tokenizer: str | None = None
    """Hub id of a text tokenizer to use instead of the model's own."""
    text_tokenizer_revision: str = "main"
    """Branch, tag or commit of `text_tokenizer`."""
    text_tokenizer_path: Path | None = None
    """Directory of a text tokenizer to use instead of the model's own."""
    dropout: float = 0.1
    """Residual dropout during training, if the architecture has it (GPT-NeoX, GPT-2, Phi; not Llama, Qwen, Gemma)."""
    architecture: dict[str, Any] | None = runtime(None)  # noqa: RUF009 (a field, and never changed)
    """Values of the model's config.json, `model_type` first, for a machine that does not have the file. `areca
    validate` and a dry run use them; loading refuses a model whose config differs."""


def spec(config: HFConfig, needs: Mapping[str, Spec]) -> BackboneSpec:
    """Return the family if `config` states it or its config.json is on disk, and the size if the weights are on disk.

    Raises:
        InvalidConfig: options exclude each other, or a path does not hold the expected files.
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
                f"give a directory or file as `{hint}`"
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
    model_type = read_json(file, links=True, infinity=True, error=InvalidConfig).get("model_type")
    if not isinstance(model_type, str):
        raise InvalidConfig(f"backbone hf: {file} is not a transformers config: it has no `model_type`")
    return model_type


def _parameters(directory: Path) -> int | None:
    """Count the elements of all tensors from the headers of the safetensors files; None: there are no such files."""
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
        summary="any causal LM of transformers: from a hub id, directory or GGUF file, or from scratch by its config",
        license="Apache-2.0",
        requires=("torch", "transformers"),
        paper="https://arxiv.org/abs/1910.03771",
    )
