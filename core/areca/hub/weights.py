"""Read the headers of safetensors files: names, types and shapes, without the weights. Light: no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from areca.errors import ArecaError, InvalidArtifact, quote
from areca.files.reading import parse_json, read_json

HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
"""Matches a hub id such as ``org/name``. A path starts with a dot or a slash, or has more slashes."""
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
LONGEST_HEADER = 64 << 20
"""Maximum number of bytes of a safetensors header."""
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors|shard-.*\.safetensors")
_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16}
_BITS |= {"I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file: its type as safetensors spells it (``"F32"``), and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a safetensors file: tensors by name, and metadata that the writer added."""

    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]


def read_header(path: Path, *, error: type[ArecaError] = InvalidArtifact) -> Header:
    """Read the header of a safetensors file, and check it against the size of the file.

    Args:
        path: the file.
        error: the class to raise.

    Raises:
        ArecaError: as `error`, if it is not a safetensors file, or its size is not the one that its header gives.
    """
    try:
        if not path.is_file():
            raise ValueError("it is not a file")
        with path.open("rb") as stream:
            size, length = path.stat().st_size, int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(LONGEST_HEADER, size - 8):
                raise ValueError("its header is longer than the file")
            values = parse_json(stream.read(length), "its header", error=error)
        if not isinstance(values, dict):
            raise ValueError("its header is not an object")
        metadata = values.pop("__metadata__", None) or {}
        tensors = {name: _parse_tensor(name, entry) for name, entry in values.items()}
        bits = sum(_BITS[t.dtype] * t.elements for t in tensors.values())
        if bits != 8 * (size - 8 - length):
            raise ValueError(f"its header describes {bits // 8:,} bytes, it has {size - 8 - length:,}")
    except (OSError, ValueError, error) as e:
        raise error(f"{path}: not a complete safetensors file ({e}); for a git-lfs pointer: git lfs pull") from None
    return Header(tensors, {str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {})


def _parse_tensor(name: str, entry: Any) -> StoredTensor:
    dtype, shape = (entry.get("dtype"), entry.get("shape")) if isinstance(entry, dict) else (None, None)
    is_shape = isinstance(shape, list) and all(type(n) is int and 0 <= n < 1 << 48 for n in shape) and len(shape) < 16
    if dtype not in _BITS or not is_shape:
        raise ValueError(f"tensor {quote(name)} has dtype {quote(dtype)} and shape {quote(shape)}")
    return StoredTensor(dtype, tuple(shape or ()))


def weight_files(directory: Path, *, error: type[ArecaError] = InvalidArtifact) -> tuple[Path, ...]:
    """Return the safetensors files of a model in the hub's layout: one file, or the shards that an index names.

    Args:
        directory: the folder; its other files are ignored.
        error: the class to raise.

    Returns:
        Sorted paths; empty if there are no safetensors files.

    Raises:
        ArecaError: as `error`, if the folder holds the model twice, or its shards are not those that the index names.
    """
    shards = {path.name for path in directory.iterdir() if _SHARD.fullmatch(path.name)}
    single, index = directory / SINGLE, directory / INDEX
    if single.exists() and (index.exists() or shards):
        other = index.name if index.exists() else min(shards)
        raise error(f"{directory}: holds its weights twice, in {SINGLE} and in {other}: remove the one you do not want")
    if single.exists():
        return (single,)
    if not index.exists():
        if shards:
            raise error(f"{directory}: has {min(shards)} without {INDEX}, which lists the shards: add it")
        return ()
    weight_map = read_json(index, links=True, error=error).get("weight_map")
    indexed = {str(file) for file in weight_map.values()} if isinstance(weight_map, dict) else set[str]()
    if indexed != shards:
        differing = sorted(indexed ^ shards) or [INDEX]
        raise error(f"{directory}: {INDEX} and the files in the folder differ, for example in {quote(differing[0])}")
    return tuple(directory / name for name in sorted(indexed))


def stored_tensors(directory: Path, *, error: type[ArecaError] = InvalidArtifact) -> dict[str, StoredTensor]:
    """Return every tensor of a model in the hub's layout, by name; empty if there are no safetensors files.

    Args:
        directory: the folder.
        error: the class to raise.

    Raises:
        ArecaError: as `error`, for files that `weight_files` or `read_header` refuses, or a tensor in two files.
    """
    stored: dict[str, StoredTensor] = {}
    for file in weight_files(directory, error=error):
        tensors = read_header(file, error=error).tensors
        if duplicates := sorted(stored.keys() & tensors.keys()):
            raise error(f"{file}: holds {quote(duplicates[0])}, which another file in the folder holds too")
        stored |= tensors
    return stored
