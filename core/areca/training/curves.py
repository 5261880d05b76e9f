"""The training curve: a row for each log, with the loss of each task. Rows hold no times: equal runs are equal."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from areca.files.writing import write_json, write_text
from areca.run.processes import Processes

Row = dict[str, Any]
"""A training row holds ``step``, ``tokens`` (so far), ``loss``, ``loss_by_task``, ``learning_rate`` and ``grad_norm``;
a validation row holds ``step`` and ``validation_loss`` by task. Losses are nats a target."""


class Curve:
    """Sums the losses of each task between two rows, and keeps the rows.

    Args:
        tasks: the tasks' names, in the order of their numbers; tasks with the same name are summed together.
        device: where the sums are kept, so that a step does not wait for the device.
        processes: those that train together; each adds its own losses, and the rows have the sums of all.

    Attributes:
        rows: the rows so far.
        tokens: tokens of all examples so far, without padding.
    """

    def __init__(
        self, tasks: Sequence[str], device: torch.device | str = "cpu", processes: Processes | None = None
    ) -> None:
        self._tasks, self._processes = tuple(tasks), processes or Processes()
        exact = torch.float32 if torch.device(device).type == "mps" else torch.float64  # MPS has no float64
        self._sums = torch.zeros(2, len(self._tasks), dtype=exact, device=device)
        self.rows: list[Row] = []
        self.tokens = 0

    @torch.no_grad()
    def add(self, losses: torch.Tensor, tasks: torch.Tensor) -> None:
        """Add the losses of targets, float ``[N]``, whose tasks have the numbers `tasks`, int64 ``[N]``."""
        of_task = tasks[:, None] == torch.arange(len(self._tasks), device=tasks.device)
        self._sums[0] += torch.where(of_task, losses[:, None], 0.0).sum(0)
        self._sums[1] += of_task.sum(0)

    def close(self, step: int, values: Mapping[str, float | None]) -> Row:
        """Append the row of the steps up to `step`, with further `values`, and return it."""
        sums, counts = self._processes.sum(self._sums).tolist()
        self._sums.zero_()
        by_task = {}
        for name in dict.fromkeys(self._tasks):
            numbers = [i for i, task in enumerate(self._tasks) if task == name]
            if count := sum(counts[i] for i in numbers):
                by_task[name] = sum(sums[i] for i in numbers) / count
        loss = sum(sums) / sum(counts) if sum(counts) else math.nan
        known = {name: None if x is None or not math.isfinite(x) else x for name, x in values.items()}
        self.rows.append({"step": step, "tokens": self.tokens, "loss": loss, "loss_by_task": by_task, **known})
        return self.rows[-1]

    def add_validation(self, step: int, losses: Mapping[str, float]) -> None:
        """Append a validation row, if there are losses."""
        if losses:
            self.rows.append({"step": step, "validation_loss": dict(losses)})

    def save(self, path: Path) -> None:
        """Write the rows and the open sums of all processes, from which `load` resumes exactly."""
        total = self._processes.sum(self._sums)
        sums = [[x.hex() for x in row] for row in total.tolist()]  # exact, and NaN has a spelling
        if self._processes.is_first:
            write_json(path, {"rows": self.rows, "sums": sums, "tokens": self.tokens})

    def load(self, path: Path) -> None:
        """Restore the rows and the sums that `save` wrote; if the file does not exist, change nothing."""
        if not path.exists():  # a state that was saved before there were curves
            return
        state = json.loads(path.read_text(encoding="utf-8"))
        self.rows, self.tokens = state["rows"], state["tokens"]
        if not self._processes.is_first:  # the first process holds the sums so far of all
            return
        self._sums.copy_(torch.tensor([[float.fromhex(x) for x in row] for row in state["sums"]], dtype=torch.float64))


def write_curves(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as JSON Lines."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))
