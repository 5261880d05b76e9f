"""Save and restore the state of an interrupted fit. Files are replaced atomically, and used only if they are intact."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from areca.files.writing import replace_file
from areca.fitting.interrupt import defer_signals
from areca.fitting.unfinished import creating_state, is_intact, newest_state, seal_files, seal_path
from areca.job import Job

STATE = "state.safetensors"
"""Name of the file with the tensors, in a state's folder."""

T = TypeVar("T")


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file atomically: after a crash, the path holds the old file or the complete new one.

    Args:
        path: where to write.
        tensors: by name.
        metadata: text for the file's header.
    """
    with replace_file(path) as draft:
        save_file({k: v.contiguous() for k, v in tensors.items()}, draft, metadata)


def cached_chunks(folder: Path, chunks: Iterable[T], compute: Callable[[T], dict[str, torch.Tensor]]) -> Iterator[Path]:
    """Yield, for each chunk, the path of a safetensors file with its result; reuse intact files of an earlier call.

    Args:
        folder: for the files; created if it does not exist. No other function may use it, and it must always be used
            for the same chunks: a file is identified only by its number. So whatever decides the size of a chunk
            belongs in the folder's name.
        chunks: in the same order in every call.
        compute: given a chunk, returns tensors by name.

    Example::

        for path in cached_chunks(job.work / f"mels-{size}", chunks, lambda rows: {"mels": compute_mels(rows)}):
            mels = load_file(path)["mels"]
    """
    folder.mkdir(exist_ok=True)
    for number, chunk in enumerate(chunks):
        path = folder / f"{number:06}.safetensors"
        if not is_intact(seal_path(path), [path]):
            save_tensors(path, compute(chunk))
            seal_files(seal_path(path), [path])
        yield path


class ResumableLoop:
    """Runs the remaining steps of a training, and saves its state between them.

    On construction, the last saved state is loaded into the model and the optimizer.

    Args:
        job: its work folder holds the states.
        model: the model to train.
        optimizer: of the model's parameters, one that `save_state` can save.
        steps: number of steps of the whole training.
        save_every: steps between two saved states.

    Attributes:
        start: number of the first remaining step; 0 if there is no state.

    Example::

        loop = ResumableLoop(job, model, optimizer, steps=1_000, save_every=100)
        loop.run(lambda number: train_step(number))
    """

    def __init__(
        self, job: Job, model: nn.Module, optimizer: torch.optim.Optimizer, *, steps: int, save_every: int
    ) -> None:
        self._work, self._model, self._optimizer = job.work, model, optimizer
        self._steps, self._save_every = steps, save_every
        self.start = load_state(job.work, model, optimizer)

    def run(self, step: Callable[[int], None]) -> None:
        """Call ``step(number)`` for each remaining step. After Ctrl-C or SIGTERM, save the state and stop.

        Raises:
            Interrupted: a signal arrived; the state is saved.
        """
        with defer_signals() as pending:
            for number in range(self.start, self._steps):
                step(number)
                done = number + 1
                if pending or done % self._save_every == 0 or done == self._steps:
                    save_state(self._work, done, self._model, self._optimizer)
                if pending:
                    pending.stop(f"saved at step {done}")


def save_state(folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write what training needs to resume after `step` steps: the weights and the optimizer's moments.

    Tied weights are written once. The optimizer's options, schedulers and random states are not written, because a step
    must depend only on the seed and its number. The previous state is kept in case this one is damaged.

    Args:
        folder: holds the states.
        step: number of finished steps.
        model: its parameters and persistent buffers are saved.
        optimizer: its state must consist of tensors, as in ``torch.optim``.
    """
    moments = optimizer.state_dict()["state"]
    tensors = {f"model.{name}": x.detach() for name, x in _weights(model)}
    tensors |= {f"optimizer.{i}.{name}": x for i, state in moments.items() for name, x in state.items()}
    with creating_state(folder, step) as draft:
        save_tensors(draft / STATE, tensors)


@torch.no_grad()
def load_state(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore the newest intact state that `save_state` wrote.

    Args:
        folder: holds the states.
        model: receives the weights.
        optimizer: receives the moments.

    Returns:
        The number of finished steps; 0 if there is no intact state.
    """
    if (newest := newest_state(folder)) is None:
        return 0
    step, path = newest
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
    """Yield the parameters and persistent buffers by name, tied ones once."""
    stored = model.state_dict().keys()
    named = itertools.chain(model.named_parameters(), model.named_buffers())
    return ((name, x) for name, x in named if name in stored)
