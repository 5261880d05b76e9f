"""Build a run's LM from its backbone, train it, and measure its loss on data that it did not see."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from areca.artifact import WORK
from areca.artifacts.checkpoint import LM
from areca.errors import InvalidManifest
from areca.files.writing import write_json
from areca.fitting.unfinished import is_intact, seal_files, seal_path
from areca.interfaces import Backbone, Stage, silent
from areca.lm.model import SpeechLM
from areca.manifest import Manifest
from areca.options import canonical
from areca.registry.parts import Part
from areca.run.options import LMConfig, TrainingConfig
from areca.specs import Stream
from areca.training.examples import Examples, TaskRows, write_examples
from areca.training.train import mean_loss, train

SUMMARY = "training.json"


@dataclass(frozen=True)
class Split:
    """A split of the data, ready for the LM.

    Args:
        rows: its rows.
        tasks: each task of the mixture with the codes of these rows; None where they lack what the task needs.
    """

    rows: Manifest
    tasks: Sequence[TaskRows | None]


@dataclass(frozen=True)
class LMJob:
    """All that training an LM takes, as values.

    Args:
        name: of the run, for progress.
        backbone: the text LM; it is changed in place.
        streams: what the LM reads or writes, by role.
        lm: how text LM and streams are joined.
        pattern: how several streams become one sequence.
        training: how it is trained.
        tasks: names of the mixture's tasks.
        train: what it learns from: every task has rows.
        validation: what its loss is measured on; None: there is no such split.
        seed: of new parameters, of the order of the examples and of dropout.
        device: where to compute.
        stage: shows progress.
    """

    name: str
    backbone: Backbone
    streams: Mapping[str, tuple[Stream, ...]]
    lm: LMConfig
    pattern: Part
    training: TrainingConfig
    tasks: Sequence[str]
    train: Split
    validation: Split | None
    seed: int = 0
    device: torch.device | str = "cpu"
    stage: Stage = silent


def train_lm(job: LMJob, directory: Path) -> None:
    """Train an LM into `directory`: ``lm/`` and ``training.json``; resumes from what a killed run left.

    Raises:
        InvalidManifest: no row has the fields that a task needs.
        ArecaError: as `areca.training.train.train`.
    """
    work = directory / WORK
    work.mkdir(exist_ok=True)
    lm = SpeechLM.extend(job.backbone, job.streams, seed=job.seed, **(canonical(job.lm) | {"pattern": job.pattern}))
    tasks = [task for task in job.train.tasks if task is not None]
    examples = _examples(job, work / "train.arrow", lm, "train", job.train.rows, tasks)
    with job.stage(f"train {job.name}") as progress:
        train(
            lm,
            examples,
            tuple(task.weight for task in tasks),
            job.training,
            seed=job.seed,
            directory=work,
            device=job.device,
            progress=progress,
        )
    lm.save(directory / LM)
    left_out = json.loads((work / "train.json").read_text(encoding="utf-8"))
    rows = [
        {"task": task.name, "weight": task.weight, "examples": size, **left}
        for task, size, left in zip(tasks, examples.sizes, left_out, strict=True)
    ]
    write_json(directory / SUMMARY, {"tasks": rows, "validation_loss": _validation(job, lm, work)})


def _examples(job: LMJob, path: Path, lm: SpeechLM, split: str, rows: Manifest, tasks: Sequence[TaskRows]) -> Examples:
    left_out_path = path.with_suffix(".json")
    if not is_intact(seal_path(path), [path, left_out_path]):
        longest = min(job.training.longest_tokens, lm.context)
        with job.stage(f"examples of {split}") as progress:
            left_out = write_examples(
                path, lm, rows, tasks, longest=longest, progress=progress, check_text=split == "train"
            )
        write_json(left_out_path, [asdict(of_task) for of_task in left_out])
        seal_files(seal_path(path), [path, left_out_path])
    return Examples(path, len(tasks))


def _validation(job: LMJob, lm: SpeechLM, work: Path) -> list[Any]:
    """Return each task's mean loss on the validation split; None for a task that it has no row for."""
    if job.validation is None:
        return [None] * len(job.tasks)
    losses: list[float | None] = []
    for number, (name, task) in enumerate(zip(job.tasks, job.validation.tasks, strict=True)):
        if task is None:
            losses.append(None)
            continue
        path = work / f"validation-{number}.arrow"
        try:
            examples = _examples(job, path, lm, "validation", job.validation.rows, [task])
        except InvalidManifest:
            losses.append(None)
            continue
        with job.stage(f"validation of {name}") as progress:
            losses += mean_loss(lm, examples, job.training.tokens_at_once, progress)
    return losses
