"""Load tensors and networks from a part's artifact, and refuse those that differ from what its options describe."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.modules import module as registration

from areca.errors import ArecaError, InvalidArtifact, quote, summarise
from areca.hub.weights import StoredTensor, read_header

N = TypeVar("N", bound=nn.Module)


def read_tensors(
    path: Path,
    shapes: Mapping[str, Sequence[int | None]],
    *,
    optional: Mapping[str, Sequence[int | None]] | None = None,
    error: type[ArecaError] = InvalidArtifact,
) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file, on the CPU.

    Args:
        path: the file.
        shapes: shape of each required tensor, by name; None stands for any size above 0.
        optional: shape of each tensor that the file may hold in addition.
        error: the class to raise.

    Raises:
        ArecaError: as `error`, if the file is damaged, or its tensors or shapes differ.

    Example:
        ``centroids = read_tensors(files / "codebook.safetensors", {"centroids": (256, None)})["centroids"]``
    """
    stored = read_header(path, error=error).tensors
    known = {**shapes, **(optional or {})}
    if differing := sorted((shapes.keys() - stored.keys()) | (stored.keys() - known.keys())):
        raise error(f"{path}: expected tensors {', '.join(known)}; {quote(differing[0])} is missing or unexpected")
    for name, tensor in stored.items():
        if not _matches_shape(tensor.shape, known[name]):
            raise error(f"{path}: expected {name} of shape {list(known[name])}, got {list(tensor.shape)}")
    return load_file(path)


def _matches_shape(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    same_rank = len(shape) == len(expected)
    return same_rank and all(n > 0 and n == (e or n) for n, e in zip(shape, expected, strict=True))


def read_module(path: Path, build: Callable[[], N], *, error: type[ArecaError] = InvalidArtifact) -> N:
    """Return the network that `build` makes, with the weights of a safetensors file in float32, on the CPU.

    Nothing is drawn at random, and nothing larger than the file is allocated.

    Args:
        path: the file.
        build: makes the network; called on the device ``meta``.
        error: the class to raise.

    Raises:
        ArecaError: as `error`, if the file is damaged, or its tensors are not those of the network.

    Example:
        ``encoder = read_module(files / "encoder.safetensors", lambda: Encoder(config)).eval()``
    """
    stored = read_header(path, error=error).tensors
    # On the device meta, a network has shapes but takes no memory.
    try:
        with torch.device("meta"), limit_module_count(len(stored)):
            network = build()
    except (TooLarge, RuntimeError, ValueError, TypeError, OverflowError, ZeroDivisionError) as e:
        reason = summarise(e, lines=None)
        raise error(f"{path}: its {len(stored)} tensors are not the network of the options: {reason}") from e
    if difference := describe_difference({k: tuple(x.shape) for k, x in network.state_dict().items()}, stored):
        raise error(f"{path}: the options describe another network: {difference}")
    network.load_state_dict({name: x.float() for name, x in load_file(path).items()}, assign=True)
    return network


def describe_difference(expected: Mapping[str, Sequence[int]], stored: Mapping[str, StoredTensor]) -> str | None:
    """Return, as text, the first tensor by name that is missing, unexpected or of another shape; None: all match."""
    for name in sorted(expected.keys() | stored.keys()):
        if name not in stored:
            return f"the file lacks {quote(name)}"
        if name not in expected:
            return f"the file has {quote(name)}, which the network lacks"
        if tuple(expected[name]) != stored[name].shape:
            return f"{name} has shape {list(expected[name])} in it, {list(stored[name].shape)} in the file"
    return None


class TooLarge(ValueError):
    """A network has far more layers than its file has tensors."""


@contextmanager
def limit_module_count(tensors: int) -> Iterator[None]:
    """Within the block, stop the building of a network with far more modules and parameters than `tensors`.

    Untrusted options can ask for a billion layers. On the device ``meta`` these cost no memory at first,
    but building them never ends. A network has several modules and parameters for each stored tensor (tied weights,
    lists of modules), so the limit is a multiple.

    Args:
        tensors: number of tensors in the file.

    Raises:
        TooLarge: in the block, when the limit is passed.
    """
    remaining, builder = 16 * tensors + 1024, threading.get_ident()

    def count(parent: Any, name: str, child: Any) -> None:
        nonlocal remaining
        if threading.get_ident() == builder:  # torch's hooks are global; other threads are not limited
            remaining -= 1
            if remaining < 0:
                raise TooLarge(f"far more layers than a file of {tensors} tensors fills")

    hooks = [
        registration.register_module_parameter_registration_hook(count),
        registration.register_module_module_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
