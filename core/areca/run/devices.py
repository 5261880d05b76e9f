"""Where to compute: what cannot be used is refused before any work."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from areca.errors import InvalidConfig, quote

if TYPE_CHECKING:
    import torch

_REASON = 120  # characters of what torch reports


def usable(device: torch.device | str) -> torch.device:
    """Return a device that a number could be put on and read back from.

    Raises:
        InvalidConfig: this machine has no such device, or torch knows none; the message lists those that there are.
    """
    import torch

    if device == "cpu":
        return torch.device("cpu")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of a missing driver before it raises
            torch.zeros(1, device=device).item()
    except Exception as error:  # each backend raises what it likes, from AssertionError to RuntimeError
        reason = str(error).strip().partition("\n")[0].partition(". ")[0][:_REASON].rstrip(".")
        raise InvalidConfig(
            f"device {quote(str(device))}: cannot compute here ({reason}); available: {', '.join(_available())}"
        ) from error
    return torch.device(device)


def _available() -> list[str]:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


def require_alone() -> None:
    """Refuse to be one of several processes, which would wait for each other for ever.

    Raises:
        InvalidConfig: a launcher such as torchrun started several.
    """
    if (size := os.environ.get("WORLD_SIZE", "").strip()) not in ("", "0", "1"):
        raise InvalidConfig(
            f"WORLD_SIZE is {quote(size)}: areca computes in one process; start it without torchrun, "
            "or unset WORLD_SIZE"
        )
