"""Choose and check the device, and check the number of processes, before any work."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from areca.errors import InvalidConfig, quote

if TYPE_CHECKING:
    import torch

AUTO = "auto"
"""The name of the first device that works: CUDA, then MPS, then the CPU."""
_REASON = 120  # maximum number of characters of torch's error in a message


def resolve_device(device: torch.device | str) -> torch.device:
    """Return a device that works: a number was written to it and read back.

    Args:
        device: a torch device or its name, like ``"cuda:0"``; ``"auto"``: the first that works
            of CUDA, MPS and the CPU.

    Raises:
        InvalidConfig: torch does not know the device, or it does not work; the message lists the available devices.
    """
    import torch

    if device == "cpu":
        return torch.device("cpu")
    if device == AUTO:
        return _choose_device()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of a missing driver before it raises
            torch.zeros(1, device=device).item()
    except Exception as error:  # each backend raises another type, from AssertionError to RuntimeError
        reason = str(error).strip().partition("\n")[0].partition(". ")[0][:_REASON].rstrip(".")
        raise InvalidConfig(
            f"device {quote(str(device))}: not available ({reason}); expected one of {', '.join(_list_devices())}"
        ) from error
    return torch.device(device)


def resolve_local_device(device: torch.device | str, rank: int, count: int) -> torch.device:
    """Return the device of one of several processes on a machine.

    Args:
        device: as for `resolve_device`. ``"cuda"`` is the GPU of the process's number. ``"auto"`` is too, if the
            machine has a GPU for each process; otherwise it is the CPU, in all of them.
        rank: number of the process on its machine.
        count: number of processes on its machine.

    Raises:
        InvalidConfig: as for `resolve_device`.
    """
    import torch

    if device == AUTO:
        device = "cuda" if torch.cuda.device_count() >= count else "cpu"
    return resolve_device(f"cuda:{rank}" if device == "cuda" else device)


def describe_device(device: torch.device | str) -> str:
    """Return a device's name, with that of the GPU: ``"cuda:0 (NVIDIA L4)"``."""
    import torch

    device = torch.device(device)
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def _choose_device() -> torch.device:
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    for name in (name for name, found in available.items() if found):
        try:
            return resolve_device(name)
        except InvalidConfig:  # a driver that is too old, or a GPU that another process holds
            continue
    return torch.device("cpu")


def _list_devices() -> list[str]:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


def require_single_process() -> None:
    """Reject a launch with several processes, which would wait for each other forever.

    Raises:
        InvalidConfig: a launcher such as torchrun started several processes.
    """
    if (size := os.environ.get("WORLD_SIZE", "").strip()) not in ("", "0", "1"):
        raise InvalidConfig(
            f"WORLD_SIZE is {quote(size)}, expected 1: areca runs in one process; start it without torchrun, or unset "
            "WORLD_SIZE"
        )
