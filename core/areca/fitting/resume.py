"""Save and restore the state of an interrupted fit. Files are replaced atomically, and used only while intact."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from areca.files.writing import replace_file
from areca.fitting.interrupt import deferred
from areca.fitting.unfinished import intact, new_state, newest_state, seal_files, seal_of
from areca.interfaces import Job

STATE = "state.safetensors"
"""The file of a state, in the folder of it."""

T = TypeVar("T")


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file atomically: it is there complete, or as it was."""
    with replace_file(path) as draft:
        save_file({k: v.contiguous() for k, v in tensors.items()}, draft, metadata)


def cached_chunks(folder: Path, chunks: Iterable[T], compute: Callable[[T], dict[str, torch.Tensor]]) -> Iterator[Path]:
    """Yield, for each chunk, the file of what `compute` makes of it, computed unless an intact one is there.

    Args:
        folder: of the files; made if it is not there. Nobody else's, and of the same chunks each time: a file is known
            by its number alone, so what decides how much a chunk holds belongs into the folder's name.
        chunks: in the same order each time.
        compute: returns tensors by name.
    """
    folder.mkdir(exist_ok=True)
    for number, chunk in enumerate(chunks):
        path = folder / f"{number:06}.safetensors"
        if not intact(seal_of(path), [path]):
            write_tensors(path, compute(chunk))
            seal_files(seal_of(path), [path])
        yield path


class Steps:
    """The steps that a training still has to do, in order; between them its state is saved.

    Args:
        job: its folder of work holds the states.
        model: what is trained; here it is given the weights of the last state.
        optimizer: of the model, as `save_state` needs it.
        steps: of the whole training.
        save_every: steps between two states.

    Attributes:
        start: number of the first step; 0 where there is no state.
    """

    def __init__(
        self, job: Job, model: nn.Module, optimizer: torch.optim.Optimizer, *, steps: int, save_every: int
    ) -> None:
        self._work, self._model, self._optimizer = job.work, model, optimizer
        self._steps, self._save_every = steps, save_every
        self.start = load_state(job.work, model, optimizer)

    def run(self, step: Callable[[int], None]) -> None:
        """Call ``step(number)`` for each step; after Ctrl-C or SIGTERM, save the state and stop.

        Raises:
            Interrupted: a signal came.
        """
        with deferred() as pending:
            for number in range(self.start, self._steps):
                step(number)
                done = number + 1
                if pending or done % self._save_every == 0 or done == self._steps:
                    save_state(self._work, done, self._model, self._optimizer)
                if pending:
                    pending.stop(f"saved at step {done}")


def save_state(folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write what training needs to resume after `step` steps: weights, tied ones once, and the optimizer's moments.

    Not written are the optimizer's options, schedulers and random states: a step is to follow from the seed and its
    number alone. The optimizer keeps tensors, as those of ``torch.optim`` do. The state before this one stays, for
    where this one is damaged.
    """
    moments = optimizer.state_dict()["state"]
    tensors = {f"model.{name}": x.detach() for name, x in _weights(model)}
    tensors |= {f"optimizer.{i}.{name}": x for i, state in moments.items() for name, x in state.items()}
    with new_state(folder, step) as draft:
        write_tensors(draft / STATE, tensors)


@torch.no_grad()
def load_state(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore the newest intact state of `save_state` and return the number of steps done; 0 where there is none."""
    if (found := newest_state(folder)) is None:
        return 0
    step, path = found
    tensors = load_file(path / STATE)
    for name, x in _weights(model):
        x.copy_(tensors.pop(f"model.{name}"))
    moments: dict[int, dict[str, Any]] = {}
    for key, x in tensors.items():
        _, index, moment = key.split(".", 2)
        moments.setdefault(int(index), {})[moment] = x
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return step


def _weights(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    stored = model.state_dict().keys()
    named = itertools.chain(model.named_parameters(), model.named_buffers())
    return ((name, x) for name, x in named if name in stored)
