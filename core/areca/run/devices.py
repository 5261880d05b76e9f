"""Check the device and the number of processes before any work."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from areca.errors import InvalidConfig, quote

if TYPE_CHECKING:
    import torch

_REASON = 120  # maximum number of characters of torch's error in a message


def resolve_device(device: torch.device | str) -> torch.device:
    """Check that a device works, by writing a number to it and reading it back.

    Args:
        device: a torch device or its name, like ``"cuda:0"``.

    Raises:
        InvalidConfig: torch does not know the device, or it does not work; the message lists the available devices.
    """
    import torch

    if device == "cpu":
        return torch.device("cpu")
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
