"""What safetensors files say of themselves: names, types and shapes, before a weight is read. No torch."""

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
"""A model of the hub, as ``org/name``; a path has a dot or slash in front, or more slashes."""
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
LONGEST_HEADER = 64 << 20
"""Bytes of a safetensors header, at most."""
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors|shard-.*\.safetensors")
_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16}
_BITS |= {"I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64}


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor of a file: its type as safetensors spells it (``"F32"``), and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """What a safetensors file holds: tensors by name, and text that its writer added."""

    tensors: Mapping[str, Stored]
    metadata: Mapping[str, str]


def read_header(path: Path, *, error: type[ArecaError] = InvalidArtifact) -> Header:
    """Read the header of a safetensors file, and hold it to the file's size.

    Args:
        path: the file.
        error: what is raised.

    Raises:
        ArecaError: `error`: it is not such a file, or its header promises other bytes than it has.
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
        tensors = {name: _stored(name, entry) for name, entry in values.items()}
        bits = sum(_BITS[t.dtype] * t.elements for t in tensors.values())
        if bits != 8 * (size - 8 - length):
            raise ValueError(f"its header promises {bits // 8:,} bytes, it has {size - 8 - length:,}")
    except (OSError, ValueError, error) as e:
        raise error(
            f"{path}: not a whole safetensors file ({e}); if it is a pointer of git-lfs: git lfs pull"
        ) from None
    return Header(tensors, {str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {})


def _stored(name: str, entry: Any) -> Stored:
    dtype, shape = (entry.get("dtype"), entry.get("shape")) if isinstance(entry, dict) else (None, None)
    whole = isinstance(shape, list) and all(type(n) is int and 0 <= n < 1 << 48 for n in shape) and len(shape) < 16
    if dtype not in _BITS or not whole:
        raise ValueError(f"tensor {quote(name)} has dtype {quote(dtype)} and shape {quote(shape)}")
    return Stored(dtype, tuple(shape or ()))


def weight_files(directory: Path, *, error: type[ArecaError] = InvalidArtifact) -> tuple[Path, ...]:
    """Return the safetensors files of a model in the hub's layout: one file, or the shards that an index names.

    Args:
        directory: the folder; other files in it do not matter.
        error: what is raised.

    Returns:
        Sorted paths; none where there are no safetensors files.

    Raises:
        ArecaError: `error`: the model is there twice, or its shards are not those of the index.
    """
    shards = {path.name for path in directory.iterdir() if _SHARD.fullmatch(path.name)}
    single, index = directory / SINGLE, directory / INDEX
    if single.exists() and (index.exists() or shards):
        other = index.name if index.exists() else min(shards)
        raise error(
            f"{directory}: holds its weights twice, in {SINGLE} and in {other}: remove the one that is not meant"
        )
    if single.exists():
        return (single,)
    if not index.exists():
        if shards:
            raise error(f"{directory}: has {min(shards)} without {INDEX}, which says what belongs together")
        return ()
    places = read_json(index, links=True, error=error).get("weight_map")
    named = {str(place) for place in places.values()} if isinstance(places, dict) else set[str]()
    if named != shards:
        odd = sorted(named ^ shards) or [INDEX]
        raise error(f"{directory}: {INDEX} names other files than there are, as {quote(odd[0])}")
    return tuple(directory / name for name in sorted(named))


def stored_tensors(directory: Path, *, error: type[ArecaError] = InvalidArtifact) -> dict[str, Stored]:
    """Return every tensor of a model in the hub's layout, by name; a model without safetensors files has none.

    Args:
        directory: the folder.
        error: what is raised.

    Raises:
        ArecaError: `error`: as of `weight_files` and `read_header`, or a tensor is in two files.
    """
    found: dict[str, Stored] = {}
    for file in weight_files(directory, error=error):
        tensors = read_header(file, error=error).tensors
        if twice := sorted(found.keys() & tensors.keys()):
            raise error(f"{file}: holds {quote(twice[0])}, which another file beside it holds too")
        found |= tensors
    return found
