"""Check a model's config.json before transformers reads it. Light: no torch.

These files are untrusted. Some keys make transformers fetch, run or load something else, and some numbers make it build
a model without end. This module refuses both.
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
"""If a model's folder has this file, transformers loads the base model that the file names, from anywhere."""
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
"""Keys of a config.json that make transformers fetch or run something else, and why each is refused."""
_IMPLEMENTATIONS = re.compile(r"_?(attn|experts)_implementation(_internal)?")
_COUNT = re.compile(r"(.*_)?(layers?|blocks?|stages|depths?|experts|codebooks|quantizers|labels)")
_MOST_MODULES = 1024
"""Maximum number of layers, codebooks or similar in a config, unless the files have more tensors than this."""
_LARGEST = 1 << 36
"""Largest absolute value of any integer in a config."""


def read_checked_config(
    directory: Path,
    tensors: int,
    source: str,
    *,
    from_areca: bool = False,
    error: type[ArecaError] = InvalidConfig,
) -> dict[str, Any]:
    """Return the values in a folder's config.json, if they refer to no other files and match the size of the weights.

    Args:
        directory: the folder.
        tensors: number of tensors in its weights.
        source: name of the folder in errors.
        from_areca: whether areca wrote the folder. If so, the config must not name code, even code that would not run.
        error: the class to raise.

    Raises:
        ArecaError: as `error`, if there is no config.json; if it names other files, kernels, quantization or code; or
            if it counts more layers than the weights can fill.
    """
    try:
        values = read_json(directory / CONFIG, most=LONGEST_CONFIG, links=True, infinity=True, error=error)
    except FileNotFoundError:
        raise error(f"{source}: has no {CONFIG}") from None
    _check_values(values, tensors, source, error)
    if from_areca and "auto_map" in values:
        raise error(f"{source}: its {CONFIG} names its own code (auto_map), which areca never runs")
    return values


def check_files(directory: Path, source: str, error: type[ArecaError] = InvalidConfig) -> None:
    """Refuse a folder with an adapter's config, or with a symbolic link that leaves the folder or the hub's cache.

    Args:
        directory: the folder.
        source: name of the folder in errors.
        error: the class to raise.

    Raises:
        ArecaError: as `error`, if the folder has such a file or cannot be listed.
    """
    try:
        paths = sorted(directory.iterdir())
    except OSError as e:
        raise error(f"{source}: cannot be read: {e.strerror or e}") from e
    folder = directory.resolve()
    allowed = (folder, folder.parent.parent / "blobs")  # the hub's cache keeps a snapshot as links to its blobs
    for path in paths:
        if path.name == _ADAPTER:
            raise error(f"{source}: {_ADAPTER} would load a different model: merge the adapter, then remove this file")
        if path.is_symlink() and not any(path.resolve().is_relative_to(parent) for parent in allowed):
            raise error(f"{source}: {path.name} is a symbolic link that leaves the folder: replace it by the file")


def _check_values(values: Mapping[str, Any], tensors: int, source: str, error: type[ArecaError]) -> None:
    """Refuse, at any depth, keys that refer to something else and counts that the weights cannot fill."""
    most = max(tensors, _MOST_MODULES)
    level: list[tuple[str, Any]] = list(values.items())
    while level:
        for key, value in level:
            where = f"{source}: its {CONFIG} has {quote(key)}: {quote(value)}"
            if key in _OUTSIDE and value:
                raise error(f"{where}: {_OUTSIDE[key]}")
            if _IMPLEMENTATIONS.fullmatch(key) and value not in (None, "eager", "sdpa"):
                raise error(f"{where}: expected eager or sdpa, which need no downloaded code")
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                if _COUNT.fullmatch(key) and not 0 <= value <= most:
                    raise error(f"{where}: expected 0 to {most}, as many as its weights can fill")
                if isinstance(value, int) and abs(value) > _LARGEST:
                    raise error(f"{where}: expected at most {_LARGEST:,}")
        level = [pair for key, value in level for pair in _nested_pairs(key, value)]


def _nested_pairs(key: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return [(key, item) for item in value] if isinstance(value, list) else []
