"""Build a run's LM from its backbone, train it, and measure its loss on data that it has not seen."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from transformers import TrainerCallback

from areca.artifact import WORK
from areca.artifacts.checkpoint import CURVES, LM
from areca.errors import InvalidManifest
from areca.files.writing import write_json
from areca.fitting.unfinished import is_intact, seal_files, seal_path
from areca.interfaces import Backbone, Optimizer, Schedule
from areca.job import Stage, silent
from areca.lm.model import SpeechLM
from areca.manifest import Manifest
from areca.options import canonical
from areca.registry.parts import Part
from areca.run.options import LMConfig, TrainingConfig
from areca.run.processes import Processes
from areca.specs import Stream
from areca.training.curves import write_curves
from areca.training.examples import Examples, write_examples
from areca.training.sharding import gathered
from areca.training.task_rows import TaskRows
from areca.training.train import MeanLoss, measure_mean_loss, train

SUMMARY = "training.json"


@dataclass(frozen=True)
class Split:
    """A split of the data, ready for the LM.

    Args:
        rows: its rows.
        tasks: each task of the mixture with the codes of these rows; None where the rows lack the task's fields.
    """

    rows: Manifest
    tasks: Sequence[TaskRows | None]


@dataclass(frozen=True)
class LMJob:
    """Everything that the training of an LM needs, as plain values.

    Args:
        name: the run's name, for progress.
        backbone: the text LM; it is changed in place.
        streams: the streams that the LM reads or writes, by role.
        lm: how the text LM and the streams are joined.
        pattern: the part that orders several streams in one sequence.
        feature_size: dimensions of the vectors that the LM reads; None: it reads units.
        training: options of the training.
        optimizer: builds the optimizer.
        schedule: sets the learning rate after the warm-up.
        tasks: names of the mixture's tasks.
        train: the training split; every task has rows.
        validation: the split on which the loss is measured; None: there is no such split.
        seed: seeds new parameters, the order of the examples, and dropout.
        device: where to compute.
        stage: shows progress.
        observers: receive the events of transformers' Trainer; they do not change the training.
        processes: those that train together, each with the same job.
    """

    name: str
    backbone: Backbone
    streams: Mapping[str, tuple[Stream, ...]]
    lm: LMConfig
    pattern: Part
    training: TrainingConfig
    optimizer: Optimizer
    schedule: Schedule
    tasks: Sequence[str]
    train: Split
    validation: Split | None
    seed: int = 0
    device: torch.device | str = "cpu"
    stage: Stage = silent
    observers: Sequence[TrainerCallback] = ()
    feature_size: int | None = None
    processes: Processes = field(default_factory=Processes)


def train_lm(job: LMJob, directory: Path) -> None:
    """Train an LM, and write ``lm/``, ``training.json`` and ``curves.jsonl`` into `directory`.

    A training that was killed resumes from the state in `directory`. Of several processes, the first writes.

    Raises:
        InvalidManifest: no row has the fields that a task needs.
        ArecaError: see `areca.training.train.train`.
    """
    # Extend the backbone, encode the examples, and train.
    work = directory / WORK
    work.mkdir(exist_ok=True)
    options = canonical(job.lm) | {"pattern": job.pattern, "feature_size": job.feature_size}
    lm = SpeechLM.extend(job.backbone, job.streams, seed=job.seed, **options)
    tasks = [task for task in job.train.tasks if task is not None]
    examples = _encode_examples(job, work / "train.arrow", lm, "train", job.train.rows, tasks)
    silent_job = dataclasses.replace(job, stage=silent)  # the training shows the progress
    with job.stage(f"train {job.name}") as progress:
        curve = train(
            lm,
            examples,
            tuple(task.weight for task in tasks),
            job.training,
            tasks=[task.name for task in tasks],
            optimizer=job.optimizer,
            schedule=job.schedule,
            seed=job.seed,
            directory=work,
            device=job.device,
            progress=progress,
            validate=lambda: _name_losses(job, _measure_validation(silent_job, lm, work)),
            observers=job.observers,
            processes=job.processes,
        )
    # Write the LM, and the counts and losses of each task.
    losses = _measure_validation(job, lm, work)
    with gathered(lm):
        if job.processes.is_first:
            lm.save(directory / LM)
    if not job.processes.is_first:
        return
    left_out = json.loads((work / "train.json").read_text(encoding="utf-8"))
    rows = [
        {"task": task.name, "weight": task.weight, "examples": size, **left}
        for task, size, left in zip(tasks, examples.sizes, left_out, strict=True)
    ]
    means, by_stream = [loss and loss.mean for loss in losses], [loss and loss.by_stream for loss in losses]
    write_json(directory / SUMMARY, {"tasks": rows, "validation_loss": means, "validation_loss_by_stream": by_stream})
    curve.add_validation(job.training.steps, _name_losses(job, losses))
    write_curves(directory / CURVES, curve.rows)


def _name_losses(job: LMJob, losses: Sequence[MeanLoss | None]) -> dict[str, float]:
    return {name: loss.mean for name, loss in zip(job.tasks, losses, strict=True) if loss is not None}


def _encode_examples(
    job: LMJob, path: Path, lm: SpeechLM, split: str, rows: Manifest, tasks: Sequence[TaskRows]
) -> Examples:
    left_out_path = path.with_suffix(".json")
    with job.processes.first():
        if not is_intact(seal_path(path), [path, left_out_path]):
            longest = min(job.training.longest_tokens, lm.context)
            with job.stage(f"examples of {split}") as progress:
                left_out = write_examples(
                    path, lm, rows, tasks, longest=longest, progress=progress, check_text=split == "train"
                )
            write_json(left_out_path, [asdict(of_task) for of_task in left_out])
            seal_files(seal_path(path), [path, left_out_path])
    return Examples(path, len(tasks), lm.layout.vectors, tasks)


def _measure_validation(job: LMJob, lm: SpeechLM, work: Path) -> list[MeanLoss | None]:
    """Return each task's mean loss on the validation split; None: the split has no rows for the task."""
    if job.validation is None:
        return [None] * len(job.tasks)
    losses: list[MeanLoss | None] = []
    for number, (name, task) in enumerate(zip(job.tasks, job.validation.tasks, strict=True)):
        if task is None:
            losses.append(None)
            continue
        path = work / f"validation-{number}.arrow"
        try:
            examples = _encode_examples(job, path, lm, "validation", job.validation.rows, [task])
        except InvalidManifest:
            losses.append(None)
            continue
        with job.stage(f"validation of {name}") as progress:
            losses += measure_mean_loss(lm, examples, job.training.tokens_at_once, progress, job.processes)
    return losses
