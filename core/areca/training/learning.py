"""The pipeline's last step but one: extend a backbone, lay out its examples, train it, and measure what it learnt."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from areca.checkpoint import LM
from areca.errors import InvalidManifest
from areca.files import write_json
from areca.fitting import Workshop
from areca.lm.model import SpeechLM
from areca.options import canonical
from areca.questions import context_of
from areca.store import WORK
from areca.training.examples import Examples, TaskRows, write_examples
from areca.training.train import mean_loss, train
from areca.unfinished import intact, seal_files, seal_of

if TYPE_CHECKING:
    from areca.pipeline import Pipeline

SUMMARY = "training.json"


def learn(pipeline: Pipeline, directory: Path) -> None:
    """Train a run's LM into `directory`: ``lm/`` and ``training.json``; resumes from what a killed run left."""
    work = directory / WORK
    work.mkdir(exist_ok=True)
    lm, tasks = _new_lm(pipeline), pipeline.task_rows("train")
    examples = _examples(pipeline, work / "train.arrow", lm, "train", tasks)
    with pipeline.progress(f"train {pipeline.run.name}"):
        train(
            lm,
            examples,
            tuple(task.weight for task in tasks),
            pipeline.training,
            seed=pipeline.run.seed,
            directory=work,
            device=pipeline.device,
            progress=pipeline.shop.progress,
        )
    lm.save(directory / LM)
    write_json(directory / SUMMARY, _summary(pipeline, lm, work, tasks, examples))


def _new_lm(pipeline: Pipeline) -> SpeechLM:
    run, options = pipeline.run, pipeline.run.lm
    # A workshop of its own loads a backbone of its own: extending changes it.
    shop = Workshop(pipeline.store, data=pipeline.data(), seed=run.seed, device=pipeline.device)
    return SpeechLM.extend(shop.instance(run.backbone), run.lm_streams, seed=run.seed, **canonical(options))


def _examples(pipeline: Pipeline, path: Path, lm: SpeechLM, split: str, tasks: list[TaskRows]) -> Examples:
    told = path.with_suffix(".json")
    if not intact(seal_of(path), [path, told]):
        longest = min(pipeline.training.longest_tokens, context_of(lm))
        manifest = pipeline.data().select(split=split)
        with pipeline.progress(f"examples of {split}"):
            progress = pipeline.shop.progress
            left_out = write_examples(
                path, lm, manifest, tasks, longest=longest, progress=progress, check_text=split == "train"
            )
        write_json(told, [asdict(of_task) for of_task in left_out])
        seal_files(seal_of(path), [path, told])
    return Examples(path, len(tasks))


def _summary(pipeline: Pipeline, lm: SpeechLM, work: Path, tasks: list[TaskRows], examples: Examples) -> dict[str, Any]:
    left_out = json.loads((work / "train.json").read_text(encoding="utf-8"))
    rows = [
        {"task": task.name, "weight": task.weight, "examples": size, **left}
        for task, size, left in zip(tasks, examples.sizes, left_out, strict=True)
    ]
    return {"tasks": rows, "validation_loss": _validation(pipeline, lm, work)}


def _validation(pipeline: Pipeline, lm: SpeechLM, work: Path) -> list[float | None]:
    """Return each task's mean loss on the validation split; None for a task that it has no row for."""
    losses: list[float | None] = []
    for number, mix in enumerate(pipeline.run.tasks):
        path = work / f"validation-{number}.arrow"
        try:
            examples = _examples(pipeline, path, lm, "validation", [pipeline.rows_of(mix, "validation")])
        except InvalidManifest:
            losses.append(None)
            continue
        with pipeline.progress(f"validation of {mix.name}"):
            losses += mean_loss(lm, examples, pipeline.training.tokens_at_once, pipeline.shop.progress)
    return losses
