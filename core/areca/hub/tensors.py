"""Load what a part's artifact holds: tensors of known names and shapes, and nets whose size the file bounds."""

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

from areca.errors import ArecaError, InvalidArtifact, quote
from areca.hub.weights import Stored, read_header

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
        shapes: of each tensor that it must hold; None stands for any size above 0.
        optional: of each that it may hold.
        error: what is raised.

    Raises:
        ArecaError: `error`: the file is damaged, or holds other tensors or shapes.
    """
    found = read_header(path, error=error).tensors
    known = {**shapes, **(optional or {})}
    if odd := sorted((shapes.keys() - found.keys()) | (found.keys() - known.keys())):
        raise error(f"{path}: expected tensors {', '.join(known)}; {quote(odd[0])} is missing or too many")
    for name, stored in found.items():
        if not _fits(stored.shape, known[name]):
            raise error(f"{path}: expected {name} of shape {list(known[name])}, got {list(stored.shape)}")
    return load_file(path)


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    same = len(shape) == len(wanted)
    return same and all(n > 0 and n == (w or n) for n, w in zip(shape, wanted, strict=True))


def read_module(path: Path, build: Callable[[], N], *, error: type[ArecaError] = InvalidArtifact) -> N:
    """Return the net that `build` makes, with the weights of a safetensors file in float32, on the CPU.

    Nothing is drawn at random, and nothing larger than the file is made.

    Args:
        path: the file.
        build: makes the net; called on the device ``meta``.
        error: what is raised.

    Raises:
        ArecaError: `error`: the file is damaged, or the net has other weights than it holds.
    """
    stored = read_header(path, error=error).tensors
    try:
        with torch.device("meta"), bounded_building(len(stored)):
            net = build()
    except (TooLarge, RuntimeError, ValueError, TypeError, OverflowError, ZeroDivisionError) as e:
        raise error(f"{path}: the options describe another net than its {len(stored)} tensors: {_line(e)}") from e
    if difference := first_difference({k: tuple(x.shape) for k, x in net.state_dict().items()}, stored):
        raise error(f"{path}: the options describe another net: {difference}")
    net.load_state_dict({name: x.float() for name, x in load_file(path).items()}, assign=True)
    return net


def first_difference(wanted: Mapping[str, Sequence[int]], stored: Mapping[str, Stored]) -> str | None:
    """Return the first tensor, by name, that is lacking, too many or of another shape, as text; None: they agree."""
    for name in sorted(wanted.keys() | stored.keys()):
        if name not in stored:
            return f"the file lacks {quote(name)}"
        if name not in wanted:
            return f"the file has {quote(name)}, which it does not"
        if tuple(wanted[name]) != stored[name].shape:
            return f"{name} has the shape {list(wanted[name])} in it, {list(stored[name].shape)} in the file"
    return None


class TooLarge(ValueError):
    """A net that has far more layers than the file has tensors."""


@contextmanager
def bounded_building(tensors: int) -> Iterator[None]:
    """Stop a net from being built that has far more modules and parameters than `tensors`.

    Options that a stranger wrote may ask for a billion layers; on the device ``meta`` they cost no memory at first, but
    time without end. Built nets have some modules and parameters a tensor, tied or in lists, hence the factor.

    Raises:
        TooLarge: inside the block.
    """
    left, builder = 16 * tensors + 1024, threading.get_ident()

    def count(parent: Any, name: str, child: Any) -> None:
        nonlocal left
        if threading.get_ident() == builder:  # the hooks are the process's; other threads build what they like
            left -= 1
            if left < 0:
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


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
