"""An input: files and arguments, as they lie in a folder; and how inputs are drawn from a seed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

ARGUMENTS = "input.json"
_BYTES, _ATTEMPTS = 8192, 50


@dataclass(frozen=True)
class Input:
    """Files by name, and arguments: anything that JSON holds."""

    files: dict[str, bytes] = field(default_factory=dict)
    arguments: Any = None


def save(folder: Path, target: str, drawn: Input) -> None:
    """Write an input to a new folder: its arguments, and the files under ``files``."""
    (folder / "files").mkdir(parents=True)
    for name, content in drawn.files.items():
        path = folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / ARGUMENTS).write_text(json.dumps({"target": target, "arguments": drawn.arguments}))


def saved(folder: Path) -> tuple[str, Any]:
    """Return the target and the arguments of a saved input."""
    read = json.loads((folder / ARGUMENTS).read_text())
    return read["target"], read["arguments"]


def drawer(strategy: SearchStrategy[Input]) -> Callable[[str], Input]:
    """Return what maps a seed to an input, the same at every call."""
    drawn: list[Input] = []

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def take(value: Input) -> None:
        drawn.append(value)

    def draw(seed: str) -> Input:
        drawn.clear()
        for attempt in range(_ATTEMPTS):  # some bytes are too few for what they begin
            take.hypothesis.fuzz_one_input(Random(f"{seed}/{attempt}").randbytes(_BYTES))  # type: ignore[attr-defined]
            if drawn:
                return drawn[-1]
        raise RuntimeError(f"no input from seed {seed}")

    return draw
