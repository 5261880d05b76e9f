"""From a run's YAML to a checkpoint: data, trained parts, tokens, LM. Existing artifacts are reused."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from areca.artifact import META, PARTIAL, Artifact
from areca.artifacts.checkpoint import held_parts, write_checkpoint
from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.artifacts.tokens import Column, TokenTable, tokenize
from areca.errors import InvalidArtifact, InvalidConfig, InvalidManifest, quote, suggest
from areca.interfaces import Stage, silent
from areca.manifest import Manifest
from areca.options import canonical, key_of
from areca.registry.parts import Part
from areca.run.config import RunConfig, TaskMix, read_config
from areca.run.devices import resolve_device
from areca.tasks import Field, Task, chain
from areca.training.examples import TaskRows
from areca.training.lm import SUMMARY, LMJob, Split, train_lm


def locate(path: Path, *, plugins: tuple[str, ...] = ()) -> Path:
    """Return a checkpoint's folder, given itself or the YAML of the run that made it.

    Raises:
        InvalidArtifact: the run was not trained here.
    """
    if path.suffix not in (".yaml", ".yml"):
        return path
    return Pipeline(read_config(path, plugins=plugins), Store()).made()


@dataclass(frozen=True, slots=True)
class Step:
    """Something that a run makes: what, under which key, and how far it is.

    Args:
        label: what it is.
        key: what it is known by; empty where there is no data to know it from.
        state: ``there``, ``begun``, ``to make``, or which file it needs.
    """

    label: str
    key: str
    state: str


class Pipeline:
    """Makes a run's artifacts, each at most once.

    Args:
        run: what is wanted.
        store: where it is kept.
        device: where to compute.
        stage: shows progress.
        manifest: of `run.data`, where that is a path and was read already.

    Raises:
        InvalidConfig: a training option is wrong, there is no data, or the device cannot be used.
    """

    def __init__(
        self,
        run: RunConfig,
        store: Store,
        *,
        device: torch.device | str = "cpu",
        stage: Stage = silent,
        manifest: Manifest | None = None,
    ) -> None:
        if run.data is None:
            raise InvalidConfig(
                "run: there is nothing to train from: give 'data: {name: ...}' or 'data: manifest.jsonl'"
            )
        self.run, self.store, self.device, self.stage = run, store, resolve_device(device), stage
        self.loader = PartLoader(store, data=manifest, seed=run.seed, device=device, stage=stage)
        self._tables: dict[tuple[str, str, Column], TokenTable] = {}

    @property
    def data_key(self) -> str:
        """Key of the data, known before it is made."""
        if isinstance(self.run.data, Part):
            return self.run.data.key(None, self.run.seed)
        return self.data().key

    def data(self) -> Manifest:
        """Make the dataset if it is not there; return its manifest."""
        if self.loader.data is None:
            if isinstance(self.run.data, Part):
                loader = PartLoader(self.store, seed=self.run.seed, device=self.device, stage=self.stage)
                self.loader.data = loader.instance(self.run.data)
            else:
                assert self.run.data is not None
                self.loader.data = Manifest.read(self.run.data, root=self.run.data_root)
        assert self.loader.data is not None
        return self.loader.data

    def steps(self) -> list[Step]:
        """Return what the run makes, in order, by keys alone: nothing is made or verified.

        Keys follow from the data's; where that is a manifest that is not there yet, there are none.
        """
        if isinstance(self.run.data, Path) and not self.run.data.is_file():
            labels = [p.label for p in self.run.parts.values() if p.is_trained]
            needed = f"needs {os.path.normpath(self.run.data)}"
            return [Step(label, "", needed) for label in (*labels, "lm", "checkpoint")]
        fitted = [(p.label, self._key(p)) for p in self.run.parts.values() if p.is_trained]
        data = [(self.run.data.label, self.data_key)] if isinstance(self.run.data, Part) else []
        rows = [*data, *fitted, ("lm", key_of(self._lm_inputs())), ("checkpoint", key_of(self._checkpoint_inputs()))]
        return [Step(label, key, self._state(key)) for label, key in rows]

    def fit(self, wanted: Sequence[str] = ()) -> dict[str, Artifact]:
        """Fit the parts that are trained from data; returns them by role.

        Args:
            wanted: kinds, as ``"tokenizer"``, or roles, as ``"speech"``; each with what it needs. None: all parts.

        Raises:
            InvalidConfig: nothing of that kind or role is fitted.
        """
        fitted = {role: part for role, part in self.run.parts.items() if part.is_trained}
        chosen = self._of(wanted, fitted) if wanted else list(fitted)
        self.data()
        artifacts = {}
        for role in chosen:
            made = self.loader.artifact(fitted[role])
            assert made is not None
            artifacts[role] = made
        return artifacts

    def _of(self, wanted: Sequence[str], fitted: Mapping[str, Part]) -> list[str]:
        """Return the roles of the parts in `fitted` that `wanted`, kinds or roles, stand for."""
        chosen: dict[str, None] = {}
        for word in wanted:
            roots = [p for role, p in self.run.parts.items() if word in (role, p.entry.component.kind)]
            found = [part.role for root in roots for part in root.walk() if part.role in fitted]
            if not found:
                known = sorted({*fitted, *(str(part.entry.component.kind) for part in fitted.values())})
                raise InvalidConfig(
                    f"run {quote(self.run.name)}: nothing is fitted as {quote(word)}{suggest(word, known)}; "
                    f"what is: {', '.join(known) or 'nothing'}"
                )
            chosen |= dict.fromkeys(found)
        return list(chosen)

    def tokens(self, split: str = "train") -> dict[tuple[str, Column], TokenTable]:
        """Encode the audio of a split that the tasks read or write; returns tables by role and column."""
        manifest = self.data().select(split=split)
        sides = [side for mix in self.run.tasks for side in self._sides(self.task(mix))]
        wanted = dict.fromkeys((role, column) for role, columns in sides for column in columns)
        return {(role, column): self._table(split, manifest, role, column) for role, column in wanted}

    def lm(self) -> Artifact:
        """Train the LM; a run that was killed goes on from its last state."""
        self.data()
        return self.store.make(
            self._lm_inputs(),
            lambda directory: train_lm(self._lm_job(), directory),
            label=f"lm {self.run.name}",
            resume=True,
        )

    def validation_loss(self) -> dict[str, float]:
        """Return the trained LM's mean loss by task on the validation split, for the tasks that it has rows for."""
        summary = json.loads((self.lm().directory / SUMMARY).read_text(encoding="utf-8"))
        losses = summary["validation_loss"] or ()
        named = zip(summary["tasks"], losses, strict=False)
        return {row["task"]: loss for row, loss in named if loss is not None}

    def checkpoint(self) -> Artifact:
        """Make the checkpoint and all that it lacks."""
        fitted = self.fit()
        lm = self.lm()
        held = {role: fitted[role] for role in held_parts(self.run)}

        def build(directory: Path) -> None:
            write_checkpoint(directory, self.run, lm, held, self.data_key)

        return self.store.make(self._checkpoint_inputs(), build, label=f"checkpoint {self.run.name}")

    def made(self) -> Path:
        """Return the finished checkpoint's folder, without making anything.

        Raises:
            InvalidArtifact: it is not there.
        """
        if found := self.store.find(key_of(self._checkpoint_inputs())):
            return found.directory
        raise InvalidArtifact(
            f"run {quote(self.run.name)} has no checkpoint in {self.store.root} yet: areca train makes it"
        )

    def task(self, mix: TaskMix) -> Task:
        """Return a task of the mixture, a chain as one."""
        tasks = [self.loader.instance(part) for part in mix.parts]
        return tasks[0] if len(tasks) == 1 else chain(tasks)

    def _lm_job(self) -> LMJob:
        # A loader of its own loads a backbone of its own: extending changes it.
        loader = PartLoader(self.store, data=self.data(), seed=self.run.seed, device=self.device, stage=self.stage)
        return LMJob(
            name=self.run.name,
            backbone=loader.instance(self.run.backbone),
            streams=self.run.lm_streams,
            lm=self.run.lm,
            training=self.run.training,
            tasks=[mix.name for mix in self.run.tasks],
            train=Split(self.data().select(split="train"), [self.rows_of(mix, "train") for mix in self.run.tasks]),
            validation=self._validation(),
            seed=self.run.seed,
            device=self.device,
            stage=self.stage,
        )

    def _validation(self) -> Split | None:
        try:
            rows = self.data().select(split="validation")
        except InvalidManifest:
            return None
        tasks: list[TaskRows | None] = []
        for mix in self.run.tasks:
            try:
                tasks.append(self.rows_of(mix, "validation"))
            except InvalidManifest:
                tasks.append(None)
        return Split(rows, tasks)

    def rows_of(self, mix: TaskMix, split: str) -> TaskRows:
        """Return one task of the mixture with the codes of a split's audio.

        Raises:
            InvalidManifest: there is no such split, or no row of it has a column that the task reads or writes.
        """
        manifest, task = self.data().select(split=split), self.task(mix)
        read, written = (
            {str(column): self._table(split, manifest, role, column) for column in columns}
            for role, columns in self._sides(task)
        )
        return TaskRows(mix.name, task, mix.weight, read, written)

    def _sides(self, task: Task) -> tuple[tuple[str, list[Column]], tuple[str, list[Column]]]:
        """Return the role of what is read and its columns of audio, then of what is written."""
        return (self.run.lm.reads, _audio(task.inputs)), (self.run.lm.writes, _audio(task.outputs))

    def _table(self, split: str, manifest: Manifest, role: str, column: Column) -> TokenTable:
        if (split, role, column) not in self._tables:
            part = self.run.tokenizers[role]
            self.loader.artifact(part)  # trained before the stage below begins
            with self.stage(f"tokens of {split}") as progress:
                self._tables[split, role, column] = tokenize(manifest, column, part, self.loader, progress=progress)
        return self._tables[split, role, column]

    def _lm_inputs(self) -> dict[str, Any]:
        run = self.run
        return {
            "kind": "lm",
            "revision": 1,
            "seed": run.seed,
            "data": self.data_key,
            "backbone": self._key(run.backbone),
            "tokenizers": {role: self._key(run.tokenizers[role]) for role in (run.lm.reads, run.lm.writes)},
            "lm": canonical(run.lm),
            "tasks": [[[part.identity() for part in mix.parts], mix.weight] for mix in run.tasks],
            "training": canonical(self.run.training),
        }

    def _checkpoint_inputs(self) -> dict[str, Any]:
        parts = {role: self._key(part) for role, part in self.run.parts.items()}
        source = json.loads(json.dumps(self.run.source, default=str))
        return {"kind": "checkpoint", "revision": 2, "lm": self._lm_inputs(), "parts": parts, "config": source}

    def _key(self, part: Part) -> str:
        return part.key(self.data_key, self.run.seed)

    def _state(self, key: str) -> str:
        if (self.store.root / key / META).is_file():
            return "there"
        return "begun" if (self.store.root / (key + PARTIAL)).is_dir() else "to make"


def _audio(fields: tuple[Field, ...]) -> list[Column]:
    return ["audio" if field.path == "source.audio" else "target_audio" for field in fields if field.kind == "audio"]
