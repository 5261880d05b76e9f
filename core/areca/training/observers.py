"""Callbacks of plugins and trackers: they observe a training and cannot stop it."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from areca.errors import ArecaError, BrokenPlugin, MissingDependency, format_error, quote
from areca.registry.registry import Registry
from areca.run.trackers import require_trackers

_EVENTS = [name for name in vars(TrainerCallback) if name.startswith("on_")]
_TENSORBOARD = "TENSORBOARD_LOGGING_DIR"
"""Where transformers' callback for TensorBoard writes, unless the user has set it: see its documentation."""


class Observers(TrainerCallback):
    """Passes each event of a training to several callbacks, with a copy of `control`.

    Args:
        callbacks: each with the name of its owner, as ``"plugin local:mine"``; an error names it.
    """

    def __init__(self, callbacks: Sequence[tuple[str, TrainerCallback]]) -> None:
        self._callbacks = tuple(callbacks)
        for event in _EVENTS:
            setattr(self, event, partial(self._observe, event))

    def _observe(self, event: str, args: Any, state: Any, control: Any, **values: Any) -> None:
        for owner, callback in self._callbacks:
            try:
                getattr(callback, event)(args, state, copy.copy(control), **values)
            except Exception as e:  # plugin code may raise anything
                name = f"{type(callback).__name__}.{event}"
                raise ArecaError(f"{owner}: its training callback {name} failed: {format_error(e)}") from e


def create_plugin_callbacks(registry: Registry, run: str, directory: Path) -> list[tuple[str, TrainerCallback]]:
    """Return the callbacks that plugins provide with ``areca_training_callbacks``, each with its plugin's name.

    Raises:
        BrokenPlugin: a plugin's hook fails, or returns something other than callbacks.
    """
    callbacks = []
    for plugin, callback in registry.collect("areca_training_callbacks", run=run, directory=directory):
        if not isinstance(callback, TrainerCallback):
            raise BrokenPlugin(
                f"plugin {plugin} gives {quote(callback)} as a training callback, expected a transformers."
                "TrainerCallback"
            )
        callbacks.append((f"plugin {plugin}", callback))
    return callbacks


def create_tracker_callbacks(names: Sequence[str], directory: Path) -> list[tuple[str, TrainerCallback]]:
    """Return transformers' callbacks for trackers, each with its option's name.

    Args:
        names: as in ``training.report_to``.
        directory: folder for a tracker that writes files.

    Raises:
        MissingDependency: a tracker's package is not installed, or the tracker refuses to start.
    """
    require_trackers(names)
    callbacks = []
    with _default_environment(_TENSORBOARD, str(directory / "tensorboard")):
        kinds = get_reporting_integration_callbacks(list(names))  # type: ignore[no-untyped-call]
        for name, kind in zip(names, kinds, strict=True):
            try:
                callbacks.append((f"training.report_to: {name}", kind()))
            except (RuntimeError, ImportError) as e:
                raise MissingDependency(f"training.report_to: {name}: {e}") from e
    return callbacks


@contextlib.contextmanager
def _default_environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable in the block, unless it has a value already."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
