"""The `Job` that core passes to a `fit`, and the callbacks that receive progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from areca.artifact import WORK
from areca.errors import ArecaError
from areca.rows.columns import Utterance
from areca.rows.protocol import Column
from areca.specs import Spec
from areca.types import Codes


class Progress(Protocol):
    """Receives the progress of a long job. Calls are cheap: one every step is fine."""

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Report that `done` of `total` units are done; `message` is a detail such as ``"loss 1.23"``."""


def no_progress(done: int, total: int, message: str = "") -> None:
    """Ignore progress."""


Stage = Callable[[str], AbstractContextManager[Progress]]
"""Takes the label of a step, and returns a context in which its progress is shown."""


def silent(label: str) -> AbstractContextManager[Progress]:
    """Show nothing: the default `Stage`."""
    return nullcontext(no_progress)


def report_quota(
    progress: Progress, have: float, wanted: float, seen: int, total: int, *, unit: str, doing: str
) -> None:
    """Report the progress of a pass over recordings that ends when it has `wanted` units, or at the last recording.

    It reports units or recordings, whichever is expected to end the pass, so that the bar always fills.

    Args:
        progress: receives the report.
        have: number of units so far.
        wanted: number of units at which the pass ends.
        seen: number of recordings so far.
        total: number of all recordings.
        unit: name of the units, such as ``"frames"``.
        doing: their purpose, such as ``"to cluster"``.
    """
    if have * total >= wanted * seen:
        progress(min(round(have), round(wanted)), round(wanted), f"{unit} {doing}")
    else:
        progress(seen, total, f"recordings {doing}")


class TokenSource(Protocol):
    """Returns codes for `Job.tokens`."""

    def __call__(self, need: str, column: Column, rows: Sequence[Utterance] | None) -> Mapping[str, Codes]:
        """Return the codes of a column of the training split by row id; arguments are those of `Job.tokens`."""


@dataclass(frozen=True, slots=True)
class Job:
    """What core passes to a `fit`.

    Args:
        directory: an existing folder; the files in it become the artifact. With the tag ``resume`` it still holds the
            files of an interrupted `fit` with the same key; without the tag it is empty.
        seed: the only source of randomness.
        device: device to compute on.
        progress: receives the progress.
        specs: the specs of the needs, by the component's names for them.
        table: returns the codes for `tokens`; None: there is no data to encode.
    """

    directory: Path
    seed: int
    device: torch.device
    progress: Progress = no_progress
    specs: Mapping[str, Spec] = field(default_factory=dict)
    table: TokenSource | None = None

    def tokens(
        self, need: str, column: Column = "audio", rows: Sequence[Utterance] | None = None
    ) -> Mapping[str, Codes]:
        """Return the codes of recordings of the training split by row id, encoded by one of the needs.

        They come from a token table, an artifact that is encoded once and read from disk on access. Without `rows` it
        is the table of the whole split, on which a run's LM may also be trained. A `fit` that needs few rows names
        them: they are then encoded into a separate table, unless the whole table costs no extra work, because the LM
        needs it, it exists already, or the rows have all of its recordings::

            codes = job.tokens("tokenizer", "target_audio")
            for row in data.select(split="train").rows:
                units = codes[row.id].streams[0]

        Args:
            need: the component's name for a tokenizer that it needs.
            column: the recordings to encode; rows without one are not in the result.
            rows: the rows of the training split whose codes are needed; None: all.

        Raises:
            ArecaError: there is no data, or the component needs no tokenizer of that name.
            InvalidAudio: a recording cannot be decoded; the message names row and file.
            InvalidManifest: no row has the column.
        """
        if self.table is None:
            raise ArecaError(f"job.tokens({need!r}, {column!r}): this job has no data to encode; pass Job(table=...)")
        return self.table(need, column, rows)

    @property
    def work(self) -> Path:
        """A folder in `directory`, created on access, for the state from which an interrupted `fit` resumes.

        With the tag ``resume`` it is kept for the next `fit` after an interruption. Core removes it when `fit` has
        returned and the hashes of the other files are stored.
        """
        work = self.directory / WORK
        work.mkdir(exist_ok=True)
        return work
