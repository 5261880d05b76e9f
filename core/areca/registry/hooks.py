"""The hooks that a plugin may implement. Adding an argument to a hook is not a breaking change."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from areca.component import Component
from areca.specs import KindSpec

if TYPE_CHECKING:
    from transformers import TrainerCallback

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


@hookspec
def areca_training_callbacks(run: str, directory: Path) -> Iterable[TrainerCallback]:
    """Return callbacks that observe the training of an LM.

    Each callback receives a copy of the Trainer's `control`, so it cannot stop or save a training. Callbacks are not
    part of the LM's key: they must not change the model, the optimizer or any random state. A callback that raises ends
    the training with an error that names the plugin.

    Args:
        run: the run's name.
        directory: a folder for what a callback writes, which lasts after the training; it may not exist yet.
    """
    raise NotImplementedError
