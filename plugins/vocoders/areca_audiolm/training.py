"""Train the LM of each stage, and the predictor of durations. Both resume."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from areca.artifacts.checkpoint import LM
from areca.component import Kind
from areca.errors import ArecaError
from areca.fitting.batches import iterate_batches
from areca.fitting.codec_vocoder.layout import Layout
from areca.fitting.codec_vocoder.pairs import Pairs
from areca.fitting.durations import DurationNet, duration_loss
from areca.fitting.loop import build_adamw, initialise_model, learning_rate_factor, train_steps
from areca.fitting.text_lm.llama import build_textless_backbone
from areca.interfaces import Job
from areca.job import Progress
from areca.job import Stage as Steps
from areca.manifest import FileManifest, Utterance
from areca.registry.parts import choose
from areca.registry.registry import Registry
from areca.rows.voices import Voices
from areca.run.options import LMConfig, TrainingConfig
from areca.training.lm import LMJob, Split, train_lm
from areca.training.task_rows import Spans, TaskRows
from areca.types import Codes
from areca_audiolm.options import AudioLMConfig
from areca_audiolm.stages import ACOUSTIC, SEMANTIC, Stage

WARM_UP = 0.05
_BETAS = (0.9, 0.98)


def train_stage(stage: Stage, config: AudioLMConfig, layout: Layout, pairs: Pairs, job: Job) -> None:
    """Train the LM of a stage, and write it into the folder of its name in ``job.directory``.

    Args:
        stage: the stage.
        config: size and schedule.
        layout: how the codes fit together.
        pairs: the training data.
        job: seed, device and progress; an interrupted training resumes from its work folder.

    Raises:
        ArecaError: several processes train together.
    """
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        raise ArecaError(
            f"vocoder audiolm: its stages are trained in one process, got {dist.get_world_size()}: run the same "
            "command without torchrun until the vocoder is trained; other processes then reuse it"
        )
    work = job.work / stage.name
    work.mkdir(exist_ok=True)
    train_lm(_build_job(stage, config, layout, pairs, job), work)
    shutil.copytree(work / LM, job.directory / stage.name, dirs_exist_ok=True)


def _build_job(stage: Stage, config: AudioLMConfig, layout: Layout, pairs: Pairs, job: Job) -> LMJob:
    backbone = build_textless_backbone(
        job.seed,
        layers=config.layers,
        width=config.width,
        feed_forward=config.feed_forward,
        heads=config.heads,
        kv_heads=config.heads,
        context=stage.length,
        attention_dropout=config.attention_dropout,
    )
    training = TrainingConfig(
        steps=stage.steps,
        batch_tokens=round(config.batch_s / stage.crop_s * stage.length),
        longest_tokens=stage.length,
        learning_rate=config.learning_rate,
        warmup_steps=round(WARM_UP * stage.steps),
        weight_decay=config.weight_decay,
        save_every_steps=config.checkpoint_steps,
    )
    rows = list_rows(pairs, stage.frames)
    tables = {(SEMANTIC, "audio"): _Table(pairs, 0), (ACOUSTIC, "audio"): _Table(pairs, 1)}
    spans = Spans({SEMANTIC: layout.semantic, ACOUSTIC: layout.acoustic}, Voices((), job.seed), job.seed)
    reads = stage.input.role
    assert reads is not None, "the fields of a stage name their roles"
    task = TaskRows(stage.name, stage.task, 1.0, tables, reads, ACOUSTIC, spans)  # type: ignore[arg-type]
    return LMJob(
        name=stage.name,
        backbone=backbone,
        streams=stage.streams,
        lm=LMConfig(reads=reads, writes=ACOUSTIC, init="normal"),
        pattern=choose(Registry.discover(), Kind.PATTERN, "flatten", option="pattern"),
        training=training,
        optimizer=_AdamW(),
        schedule=_Cosine(),
        tasks=[stage.name],
        train=Split(FileManifest(tuple(rows), job.directory), [task]),
        validation=None,
        seed=job.seed,
        device=job.device,
        stage=_report_to(job.progress),
    )


def list_rows(pairs: Pairs, frames: int) -> list[Utterance]:
    """Return a row for each crop of `frames` frames that a recording has room for; the LM draws a span for each row."""
    return [
        Utterance(id=f"{index}-{copy}", audio=str(index))
        for index, length in enumerate(pairs.frames)
        for copy in range(-(-length // frames))
    ]


class _Table(Mapping[str, Codes]):
    """The codes of the rows of `list_rows`.

    Args:
        pairs: the recordings.
        side: 0: semantic codes; 1: acoustic codes.
    """

    def __init__(self, pairs: Pairs, side: int) -> None:
        self._pairs, self._side = pairs, side

    def __getitem__(self, row_id: str) -> Codes:
        return self._pairs.codes(int(row_id.partition("-")[0]))[self._side]

    def __iter__(self) -> Iterator[str]:
        return (f"{index}-0" for index in range(len(self)))

    def __len__(self) -> int:
        return len(self._pairs)


class _AdamW:
    def build(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW(groups, lr=learning_rate, betas=_BETAS)


class _Cosine:
    def factor(self, step: int, steps: int) -> float:
        return learning_rate_factor(step, steps, warm_up=0.0)


def _report_to(progress: Progress) -> Steps:
    """Return a stage that reports to `progress`, with the stage's label."""

    def show(label: str) -> Any:
        def report(done: int, total: int, message: str = "") -> None:
            progress(done, total, f"{label}: {message}" if message else label)

        return nullcontext(report)

    return show


def train_durations(config: AudioLMConfig, layout: Layout, pairs: Pairs, job: Job) -> DurationNet:
    """Train a predictor of durations, and return it in evaluation mode; arguments are those of `train_stage`."""
    net = initialise_model(lambda: DurationNet(layout.units, config.longest), job)
    budget = layout.frames(config.batch_s)

    def from_step(start: int) -> Iterator[list[int]]:
        return itertools.islice(iterate_batches(pairs.frames, budget, job.seed), start, None)

    def loss(indices: list[int], _: int) -> tuple[torch.Tensor, str]:
        batch = [pairs[i] for i in indices]
        value = duration_loss(net, [p.units for p in batch], [p.durations for p in batch], job.device)
        return value, f"durations {value.item():.3f}"

    train_steps(
        net,
        build_adamw(net, learning_rate=1e-3, weight_decay=config.weight_decay),
        from_step,
        loss,
        dataclasses.replace(job, directory=_folder(job.work / "durations")),
        steps=config.duration_steps,
        learning_rate=1e-3,
        save_every=config.checkpoint_steps,
    )
    return net


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path
