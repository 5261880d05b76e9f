"""The hooks a plugin may implement. Adding an argument to one is not a breaking change."""

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
    """Declare the components this plugin provides. Must not import torch."""
    raise NotImplementedError


@hookspec
def areca_kinds() -> Iterable[KindSpec]:
    """Declare the kinds of component that this plugin adds. Must not import torch."""
    raise NotImplementedError


@hookspec
def areca_checkpoint_saving(directory: Path) -> None:
    """A checkpoint is complete in `directory` and about to be named: a plugin may add files to it."""
