"""From a run's YAML to a checkpoint: data, trained parts, tokens, LM. Existing artifacts are reused."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from areca.artifact import META, PARTIAL, Artifact
from areca.artifacts.checkpoint import stored_parts, write_checkpoint
from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.artifacts.tables import EncodedTable, table_inputs
from areca.artifacts.tokens import TokenTable
from areca.artifacts.vectors import VectorTable
from areca.errors import BrokenPlugin, InvalidArtifact, InvalidConfig, InvalidManifest, quote, suggest
from areca.files.names import sanitize_folder_name
from areca.job import Stage, silent
from areca.manifest import Column, Manifest, read_manifest
from areca.options import canonical, key_of
from areca.registry.parts import Part
from areca.rows.voices import Voices
from areca.run.config import RunConfig, TaskMix, read_config
from areca.run.devices import resolve_device
from areca.run.trackers import require_trackers
from areca.tasks import Task, chain
from areca.training.lm import SUMMARY, LMJob, Split, train_lm
from areca.training.observers import Observers, create_plugin_callbacks, create_tracker_callbacks
from areca.training.task_rows import Spans, TaskRows

LOGS = "logs"
"""Folder in the store for the files of trackers and callbacks, with a subfolder for each training."""


def locate_checkpoint(path: Path, *, plugins: tuple[str, ...] = ()) -> Path:
    """Return a checkpoint's folder, given the folder or the YAML of the run that built it.

    Raises:
        InvalidArtifact: the run's checkpoint is not in the store.
    """
    if path.suffix not in (".yaml", ".yml"):
        return path
    return Pipeline(read_config(path, plugins=plugins), Store()).find_checkpoint()


@dataclass(frozen=True, slots=True)
class Step:
    """An artifact that a run builds.

    Args:
        label: name for people.
        key: its key; empty if something that it is computed from is missing.
        state: ``"ready"``, ``"unfinished"``, ``"to build"``, or the file that is missing.
    """

    label: str
    key: str
    state: str


class Wanted(NamedTuple):
    """A table that the LM needs.

    Args:
        form: whether it holds codes or vectors.
        role: role of the tokenizer.
        column: the audio that is encoded.
    """

    form: type[EncodedTable[Any]]
    role: str
    column: Column


class Pipeline:
    """Builds a run's artifacts in order: data, trained parts, token tables, LM, checkpoint. Existing ones are reused.

    Keys are known before anything is built, so `steps` can list what is missing.

    Args:
        run: the run.
        store: holds the artifacts.
        device: where to compute.
        stage: shows progress.
        manifest: the manifest of `run.data` if it is already read; None: `data` reads or builds it.

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
        self.loader = PartLoader(
            store, data=manifest, seed=run.seed, device=device, stage=stage, lm_tables=self._lm_tables
        )
        self._tables: dict[tuple[str, Wanted], EncodedTable[Any]] = {}

    @functools.cached_property
    def data_key(self) -> str:
        """Key of the data, known before a dataset is built. Files in its options are hashed once."""
        if isinstance(self.run.data, Part):
            return self.run.data.key(None, self.run.seed)
        return self.data().key

    def data(self) -> Manifest:
        """Return the manifest of the data; a dataset that is missing is built first.

        Raises:
            BrokenPlugin: the dataset's manifest does not have the key of its artifact.
        """
        if self.loader.data is None:
            if isinstance(self.run.data, Part):
                self.loader.data = self._build_dataset(self.run.data)
            else:
                assert self.run.data is not None
                self.loader.data = read_manifest(self.run.data, root=self.run.data_root)
        return self.loader.data

    def _build_dataset(self, part: Part) -> Manifest:
        loader = PartLoader(self.store, seed=self.run.seed, device=self.device, stage=self.stage)
        manifest: Manifest = loader.instance(part)
        if manifest.key != self.data_key:
            raise BrokenPlugin(
                f"{part.label}: its manifest has the key {quote(manifest.key)}, expected {self.data_key}, that of its "
                "artifact: Artifact.open(files, verify=False).key in `load`"
            )
        return manifest

    def _split(self, name: str) -> Manifest:
        self.data()
        return self.loader.split(name)

    def steps(self) -> list[Step]:
        """Return the artifacts of the run, in order. Nothing is built.

        If the data is a manifest that does not exist yet, keys are empty. Vector tables, which are large, are among
        them while the LM needs them.
        """
        if isinstance(self.run.data, Path) and not self.run.data.is_file():
            labels = [p.label for p in self.run.parts.values() if p.is_trained]
            needed = f"needs {os.path.normpath(self.run.data)}"
            return [Step(label, "", needed) for label in (*labels, "lm", "checkpoint")]
        fitted = [(p.label, self._key(p)) for p in self.run.parts.values() if p.is_trained]
        data = [(self.run.data.label, self.data_key)] if isinstance(self.run.data, Part) else []
        lm, checkpoint = key_of(self._lm_inputs()), key_of(self._checkpoint_inputs())
        rows = [*data, *fitted, ("lm", lm), ("checkpoint", checkpoint)]
        steps = [Step(label, key, self._state(key)) for label, key in rows]
        vectors = [] if self._state(lm) == "ready" else self._vector_steps()
        return [*steps[:-2], *vectors, *steps[-2:]]

    def fit(self, wanted: Sequence[str] = ()) -> dict[str, Artifact]:
        """Train the parts with the tag ``fit``; return their artifacts by role.

        Args:
            wanted: kinds, such as ``"tokenizer"``, or roles, such as ``"speech"``; their needs are trained too. Empty:
                all parts.

        Raises:
            InvalidConfig: no part of that kind or role is trained.
        """
        fitted = {role: part for role, part in self.run.parts.items() if part.is_trained}
        chosen = self._choose_roles(wanted, fitted) if wanted else list(fitted)
        self.data()
        artifacts = {}
        for role in chosen:
            artifact = self.loader.artifact(fitted[role])
            assert artifact is not None
            artifacts[role] = artifact
        return artifacts

    def _choose_roles(self, wanted: Sequence[str], fitted: Mapping[str, Part]) -> list[str]:
        """Return the roles of the parts in `fitted` that `wanted` names by kind or role."""
        chosen: dict[str, None] = {}
        for word in wanted:
            roots = [p for role, p in self.run.parts.items() if word in (role, p.entry.component.kind)]
            roles = [part.role for root in roots for part in root.walk() if part.role in fitted]
            if not roles:
                known = sorted({*fitted, *(str(part.entry.component.kind) for part in fitted.values())})
                raise InvalidConfig(
                    f"run {quote(self.run.name)}: it trains no part {quote(word)}{suggest(word, known)}; "
                    f"parts that it trains: {', '.join(known) or 'none'}"
                )
            chosen |= dict.fromkeys(roles)
        return list(chosen)

    def tables(self, split: str = "train") -> dict[Wanted, EncodedTable[Any]]:
        """Encode the audio of a split that the tasks read or write, as codes or vectors; return the tables."""
        self._split(split)
        return {wanted: self._encode(split, wanted) for wanted in self._list_tables()}

    def _list_tables(self) -> list[Wanted]:
        return list(dict.fromkeys(wanted for mix in self.run.tasks for wanted in self._tables_of(self.task(mix))))

    def _lm_tables(self) -> set[tuple[str, Column]]:
        wanted = [table for table in self._list_tables() if table.form is TokenTable]
        return {(self._key(self.run.tokenizers[table.role]), table.column) for table in wanted}

    def _vector_steps(self) -> list[Step]:
        """Return the vector tables of the training split. Their keys are known once the tokenizer is trained."""
        steps = []
        for wanted in (table for table in self._list_tables() if table.form is VectorTable):
            part, key = self.run.tokenizers[wanted.role], ""
            needed = [self.data_key, *(self._key(p) for p in part.walk() if p.is_trained)]
            if all(self._state(k) == "ready" for k in needed[isinstance(self.run.data, Path) :]):
                fingerprint = self.loader.fingerprint(part)
                key = key_of(table_inputs(VectorTable.kind, self._split("train"), wanted.column, fingerprint))
            steps.append(Step(f"vectors {part.name} {wanted.column}", key, self._state(key) if key else "to build"))
        return steps

    def lm(self) -> Artifact:
        """Return the trained LM; train it if it is missing. A training that was killed resumes from its last state.

        Raises:
            MissingDependency: the package of a tracker is not installed.
        """
        self.data()
        self._require_trackers()
        return self.store.make(
            self._lm_inputs(),
            lambda directory: train_lm(self._create_lm_job(), directory),
            label=f"lm {self.run.name}",
            resume=True,
            together=True,
        )

    def validation_loss(self) -> dict[str, float]:
        """Return the trained LM's mean loss on the validation split, by task; a task without rows is left out."""
        return self._read_losses("validation_loss")

    def validation_loss_by_stream(self) -> dict[str, dict[str, float]]:
        """Return the same for the codes of each stream, by task: ``{"tts": {"text": 0.1, "speech/0": 3.2}}``."""
        return self._read_losses("validation_loss_by_stream")

    def _read_losses(self, name: str) -> dict[str, Any]:
        summary = json.loads((self.lm().directory / SUMMARY).read_text(encoding="utf-8"))
        named = zip(summary["tasks"], summary.get(name) or (), strict=False)
        return {row["task"]: loss for row, loss in named if loss is not None}

    def _require_trackers(self) -> None:
        if not (self.store.root / key_of(self._lm_inputs())).is_dir():
            require_trackers(self.run.training.report_to)

    def checkpoint(self) -> Artifact:
        """Return the checkpoint; if it is missing, build it and everything it needs.

        Raises:
            MissingDependency: the package of a tracker is not installed.
        """
        self._require_trackers()
        fitted = self.fit()
        lm = self.lm()
        held = {role: fitted[role] for role in stored_parts(self.run)}

        def build(directory: Path) -> None:
            write_checkpoint(directory, self.run, lm, held, self.data_key)

        return self.store.make(self._checkpoint_inputs(), build, label=f"checkpoint {self.run.name}")

    def find_checkpoint(self) -> Path:
        """Return the finished checkpoint's folder; nothing is built.

        Raises:
            InvalidArtifact: the store has no checkpoint of this run.
        """
        if artifact := self.store.find(key_of(self._checkpoint_inputs())):
            return artifact.directory
        raise InvalidArtifact(
            f"run {quote(self.run.name)} has no checkpoint in {self.store.root} yet; to train it: areca train RUN.YAML"
        )

    def task(self, mix: TaskMix) -> Task:
        """Return a task of the mixture; a chain is one task."""
        tasks = [self.loader.instance(part) for part in mix.parts]
        return tasks[0] if len(tasks) == 1 else chain(tasks)

    def _create_lm_job(self) -> LMJob:
        # Extending changes the backbone, so it comes from a separate loader. A GPU may not hold an LM that is sharded.
        sharded = self.run.training.shards(self.store.processes.count)
        device = torch.device("cpu") if sharded else self.device
        loader = PartLoader(self.store, data=self.data(), seed=self.run.seed, device=device, stage=self.stage)
        return LMJob(
            name=self.run.name,
            backbone=loader.instance(self.run.backbone),
            streams=self.run.lm_streams,
            lm=self.run.lm,
            pattern=self.run.pattern,
            training=self.run.training,
            optimizer=loader.instance(self.run.training_parts["optimizer"]),
            schedule=loader.instance(self.run.training_parts["schedule"]),
            tasks=[mix.name for mix in self.run.tasks],
            train=Split(self._split("train"), [self.rows_of(mix, "train") for mix in self.run.tasks]),
            validation=self._select_validation(),
            seed=self.run.seed,
            device=self.device,
            stage=self.stage,
            observers=self._create_observers(),
            feature_size=self._find_feature_size(),
            processes=self.store.processes,
        )

    def _find_feature_size(self) -> int | None:
        """Return the size of the vectors that the LM reads, which a spec need not state; None: it reads units."""
        tables = self.tables().values() if self.run.reads_vectors else ()
        return next((table.size for table in tables if isinstance(table, VectorTable)), None)

    def _create_observers(self) -> list[Observers]:
        """Return the run's trackers and the callbacks of its plugins; they may write into a folder of the store.

        Only the first process has them.
        """
        if not self.store.processes.is_first:
            return []
        logs = self.store.root / LOGS / sanitize_folder_name(f"{self.run.name}-{key_of(self._lm_inputs())[:12]}")
        callbacks = create_plugin_callbacks(self.run.registry, self.run.name, logs)
        callbacks += create_tracker_callbacks(self.run.training.report_to, logs)
        return [Observers(callbacks)] if callbacks else []

    def _select_validation(self) -> Split | None:
        try:
            rows = self._split("validation")
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
        """Return a task of the mixture with the codes of a split's audio.

        Raises:
            InvalidManifest: there is no such split, or none of its rows has a column that the task reads or writes.
        """
        rows, task, run = self._split(split), self.task(mix), self.run
        tables = {wanted: self._encode(split, wanted) for wanted in self._tables_of(task)}
        specs = {role: run.tokenizers[role].spec for role in run.lm_streams}
        return TaskRows(
            mix.name,
            task,
            mix.weight,
            {(w.role, w.column): table for w, table in tables.items() if w.form is TokenTable},
            run.lm.reads,
            run.lm.writes,
            Spans(specs, Voices(rows.rows, run.seed), run.seed),
            {w.column: table for w, table in tables.items() if w.form is VectorTable},
        )

    def _tables_of(self, task: Task) -> list[Wanted]:
        """Return the tables that a task needs, first those of its inputs."""
        lm, wanted = self.run.lm, list[Wanted]()
        for fields, default in ((task.inputs, lm.reads), (task.outputs, lm.writes)):
            for field in fields:
                role = field.role or default
                vectors = self.run.reads_vectors and fields is task.inputs and role == lm.reads
                if field.kind == "audio":
                    wanted.append(Wanted(VectorTable if vectors else TokenTable, role, field.column))
        return list(dict.fromkeys(wanted))

    def _encode(self, split: str, wanted: Wanted) -> EncodedTable[Any]:
        if (split, wanted) not in self._tables:
            part = self.run.tokenizers[wanted.role]
            self.loader.artifact(part)  # train it before the next stage begins
            with self.stage(f"{wanted.form.kind} of {split}") as progress:
                rows = self._split(split)
                self._tables[split, wanted] = wanted.form.make(
                    rows, wanted.column, part, self.loader, progress=progress
                )
        return self._tables[split, wanted]

    def _lm_inputs(self) -> dict[str, Any]:
        run = self.run
        return {
            "kind": "lm",
            "revision": 1,
            "seed": run.seed,
            "data": self.data_key,
            "backbone": self._key(run.backbone),
            "tokenizers": {role: self._key(run.tokenizers[role]) for role in run.lm_streams},
            "lm": canonical(run.lm) | {"pattern": run.pattern.identity()},
            "tasks": [[[part.identity() for part in mix.parts], mix.weight] for mix in run.tasks],
            "training": canonical(run.training)
            | {name: part.inputs(self.data_key, run.seed) for name, part in run.training_parts.items()},
        }

    def _checkpoint_inputs(self) -> dict[str, Any]:
        parts = {role: self._key(part) for role, part in self.run.parts.items()}
        source = json.loads(json.dumps(self.run.source, default=str))
        return {"kind": "checkpoint", "revision": 2, "lm": self._lm_inputs(), "parts": parts, "config": source}

    def _key(self, part: Part) -> str:
        return part.key(self.data_key, self.run.seed)

    def _state(self, key: str) -> str:
        if (self.store.root / key / META).is_file():
            return "ready"
        return "unfinished" if (self.store.root / (key + PARTIAL)).is_dir() else "to build"
