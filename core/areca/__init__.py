"""areca: a modular plugin framework for audio-token language models.

``import areca`` is light: torch is imported when something that needs it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from areca.component import PLUGIN_API, Component, Kind, added, identified_by, run_seed, runtime
from areca.registry.hooks import hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

    from areca.system import System

__version__ = "0.1.0"
__all__ = [
    "PLUGIN_API", "Component", "Kind", "added", "hookimpl", "identified_by", "load", "run_seed", "runtime",
]  # fmt: skip


def load(path: str | Path | None = None, *, device: torch.device | str = "cpu", plugins: Sequence[str] = ()) -> System:
    """Load a checkpoint.

    For example::

        system = areca.load()
        answer = system.run("asr+ast+s2st", audio="in.wav", source="French", target="English")
        print(answer.transcript, answer.translation)

    Args:
        path: folder of the checkpoint; None: the checkpoint that areca ships.
        device: where to compute; ``"auto"``, the default of the command line, is a GPU if there is one.
        plugins: files or modules with components that the checkpoint needs. Plugins named in the checkpoint's own
            configuration are not imported.

    Raises:
        InvalidArtifact: the folder is not a checkpoint, or one of its files has changed.
        UnknownComponent, MissingDependency: a component is not installed; the message says what to type.
    """
    from areca.system import load as load_system

    return load_system(path, device=device, plugins=plugins)
