"""areca: a modular plugin framework for audio-token language models.

``import areca`` is light: torch is imported when something that needs it is first used.
"""

from __future__ import annotations

from typing import Any

from areca.component import PLUGIN_API, Component, Kind, added, run_seed, runtime
from areca.registry.hooks import hookimpl

__version__ = "0.1.0"
__all__ = ["PLUGIN_API", "Component", "Kind", "added", "hookimpl", "load", "run_seed", "runtime"]


def load(path: Any = None, **options: Any) -> Any:
    """Load a checkpoint (None: the one that areca ships); see `areca.system.load`."""
    from areca.system import load as load_system

    return load_system(path, **options)
