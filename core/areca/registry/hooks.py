"""The hooks that a plugin may implement. Adding an argument to a hook is not a breaking change."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pluggy

from areca.component import Component
from areca.specs import KindSpec

hookspec = pluggy.HookspecMarker("areca")
hookimpl = pluggy.HookimplMarker("areca")


@hookspec
def areca_components() -> Iterable[Component]:
    """Return the components that this plugin provides. Must not import torch."""
    raise NotImplementedError


@hookspec
def areca_kinds() -> Iterable[KindSpec]:
    """Return the kinds of component that this plugin adds. Must not import torch."""
    raise NotImplementedError


@hookspec
def areca_checkpoint_saving(directory: Path) -> None:
    """Add files to a checkpoint. Called when it is complete in `directory`, before it is renamed to its final path."""
