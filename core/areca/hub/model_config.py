"""What the config.json of a model may say before transformers reads it. No torch.

Strangers write these files. Some keys make transformers fetch, run or load something else, and some numbers make it
build until memory or patience ends: both are refused here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from areca.errors import ArecaError, InvalidConfig, quote
from areca.files.reading import read_json

CONFIG = "config.json"
LONGEST_CONFIG = 8 << 20
_ADAPTER = "adapter_config.json"
"""Beside a model, it makes transformers load another one, from wherever it says."""
_OUTSIDE = {
    "quantization_config": "areca loads no quantized weights",
    "compression_config": "areca loads no quantized weights",
    "transformers_weights": "the weights are in files of the usual names",
    "configuration_files": "the config is in this file",
    "fusion_config": "areca runs the layers of transformers only",
    "kernel_config": "areca runs the layers of transformers only",
    "use_kernels": "areca runs the layers of transformers only",
    "distributed_config": "areca decides where a model runs",
    "base_model_name_or_path": "a model is loaded from one folder",
}
"""Keys of a config.json that would make transformers fetch or run something else, and why they are refused."""
_IMPLEMENTATIONS = re.compile(r"_?(attn|experts)_implementation(_internal)?")
_COUNT = re.compile(r"(.*_)?(layers?|blocks?|stages|depths?|experts|codebooks|quantizers|labels)")
_MOST_MODULES = 1024
"""Layers, codebooks and the like that a config may count, at most, or as many as there are tensors if that is more."""
_LARGEST = 1 << 36


def checked_config(
    directory: Path,
    tensors: int,
    source: str,
    *,
    own: bool = False,
    error: type[ArecaError] = InvalidConfig,
) -> dict[str, Any]:
    """Return what a folder's config.json says, if it stays within the folder and within the size of its weights.

    Args:
        directory: the folder.
        tensors: how many its weights have.
        source: what the folder is called in errors.
        own: whether areca wrote it: it names no code then, not even code that would not run.
        error: what is raised.

    Raises:
        ArecaError: `error`: no config.json, or one that names other files, kernels, quantization or code, or counts
            more layers than the weights can fill.
    """
    try:
        values = read_json(directory / CONFIG, most=LONGEST_CONFIG, links=True, infinity=True, error=error)
    except FileNotFoundError:
        raise error(f"{source}: has no {CONFIG}") from None
    _check_values(values, tensors, source, error)
    if own and "auto_map" in values:
        raise error(f"{source}: its {CONFIG} names code of its own (auto_map), which areca never runs")
    return values


def check_files(directory: Path, source: str, error: type[ArecaError] = InvalidConfig) -> None:
    """Refuse a folder with an adapter's config, or with a link to anything but the blobs of the hub's cache.

    Args:
        directory: the folder.
        source: what it is called in errors.
        error: what is raised.

    Raises:
        ArecaError: `error`: there is one, or the folder cannot be listed.
    """
    try:
        paths = sorted(directory.iterdir())
    except OSError as e:
        raise error(f"{source}: cannot be read: {e.strerror or e}") from e
    here = directory.resolve()
    inside = (here, here.parent.parent / "blobs")  # a snapshot in the hub's cache is links into its blobs
    for path in paths:
        if path.name == _ADAPTER:
            raise error(f"{source}: {_ADAPTER} would load another model than this one: merge the adapter, remove it")
        if path.is_symlink() and not any(path.resolve().is_relative_to(place) for place in inside):
            raise error(f"{source}: {path.name} is a symbolic link out of the folder: put the file in its place")


def _check_values(values: Mapping[str, Any], tensors: int, source: str, error: type[ArecaError]) -> None:
    """Refuse keys of a config, at any level, that reach outside of it, and counts that no such file fills."""
    most = max(tensors, _MOST_MODULES)
    level: list[tuple[str, Any]] = list(values.items())
    while level:
        for key, value in level:
            where = f"{source}: its {CONFIG} has {quote(key)}: {quote(value)}"
            if key in _OUTSIDE and value:
                raise error(f"{where}: {_OUTSIDE[key]}")
            if _IMPLEMENTATIONS.fullmatch(key) and value not in (None, "eager", "sdpa"):
                raise error(f"{where}: expected eager or sdpa, which need no code from elsewhere")
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                if _COUNT.fullmatch(key) and not 0 <= value <= most:
                    raise error(f"{where}: expected 0 to {most}, as many as its weights can fill")
                if isinstance(value, int) and abs(value) > _LARGEST:
                    raise error(f"{where}: expected at most {_LARGEST:,}")
        level = [pair for key, value in level for pair in _inner(key, value)]


def _inner(key: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return [(key, item) for item in value] if isinstance(value, list) else []
