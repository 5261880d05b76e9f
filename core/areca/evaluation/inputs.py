"""What an evaluation starts from: a checkpoint or a run, the data, and the options of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from areca.checkpoint import CONFIG
from areca.component import Kind
from areca.config import RunConfig, read_config
from areca.errors import InvalidConfig
from areca.evaluation.evaluate import EvaluationConfig, Stage, evaluate
from areca.evaluation.judging import open_judge
from areca.fitting import Workshop
from areca.manifest import Manifest
from areca.options import build
from areca.parts import Part, resolve
from areca.pipeline import Pipeline
from areca.registry import Registry
from areca.store import Store
from areca.system import System, load

_RECIPE = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is evaluated, on what, and how.

    Args:
        name: of the run.
        system: the checkpoint in use.
        manifest: questions and references.
        config: the options.
        registry: where judges are found.
        identity: the checkpoint's fingerprint.
    """

    name: str
    system: System
    manifest: Manifest
    config: EvaluationConfig
    registry: Registry
    identity: str

    def evaluate(self, directory: Path, *, device: str, stage: Stage) -> Path:
        """Open the judges and evaluate into `directory`; arguments and errors as of `evaluate`."""
        judges = [open_judge(self.registry, wanted, device) for wanted in self.config.judges]
        return evaluate(self.system, self.manifest, self.config, judges, directory, identity=self.identity, stage=stage)


def open_inputs(
    checkpoint: Path | RunConfig | None,
    data: Path | None,
    options: Mapping[str, Any],
    *,
    plugins: Sequence[str],
    device: str,
    stage: Stage,
) -> Inputs:
    """Open a checkpoint and the data to evaluate it on, making what is missing.

    Args:
        checkpoint: its folder; a run or its YAML, whose checkpoint is made if it is not there; None: the shipped one.
        data: a manifest; a run's YAML, whose data and options are used; None: what the checkpoint was made from.
        options: of `EvaluationConfig`; they win over the YAML's ``evaluation:``.
        plugins: files or modules to load.
        device: where to compute.
        stage: shows progress.

    Raises:
        InvalidConfig: no data, a wrong option.
        InvalidArtifact: no checkpoint.
    """
    folder = None if isinstance(checkpoint, RunConfig) else checkpoint
    recipe = checkpoint if isinstance(checkpoint, RunConfig) else _recipe(checkpoint, plugins)
    if recipe is not None:
        folder = Pipeline(recipe, Store(), device=device, stage=stage).checkpoint().directory
    system = load(folder, device=device, plugins=plugins)
    run = _recipe(data, plugins) or (recipe if data is None else None)
    if run is not None:
        said, manifest = run.evaluation, _data_of(run.data, run.seed, stage)
    else:
        said, manifest = _own(system, data, stage)
    config = build(EvaluationConfig, {**said, **options}, "evaluation")
    held = system.run_config
    registry = held.registry if run is None else run.registry
    return Inputs(held.name, system, manifest, config, registry, system.checkpoint.artifact.fingerprint)


def _recipe(path: Path | None, plugins: Sequence[str]) -> RunConfig | None:
    return read_config(path, plugins=plugins) if path is not None and path.suffix in _RECIPE else None


def _own(system: System, data: Path | None, stage: Stage) -> tuple[Mapping[str, Any], Manifest]:
    """Return the options that a checkpoint's own YAML says, and `data` or else the data that it says."""
    source = yaml.safe_load((system.checkpoint.directory / CONFIG).read_text(encoding="utf-8"))
    said = source.get("evaluation") or {}
    if data is not None:
        return said, Manifest.read(data)
    part = source.get("data")
    if isinstance(part, Mapping):
        run: RunConfig = system.run_config
        return said, _data_of(resolve(run.registry, Kind.DATASET, part, role="data"), run.seed, stage)
    raise InvalidConfig(
        f"{system.checkpoint.directory}: was made from {part or 'data that it does not name'}, which is not in it: "
        "name a manifest, as: areca evaluate CHECKPOINT manifest.jsonl"
    )


def _data_of(data: Part | Path | None, seed: int, stage: Stage) -> Manifest:
    if data is None:
        raise InvalidConfig("the run's YAML has no 'data:'; name a manifest: areca evaluate CHECKPOINT manifest.jsonl")
    if isinstance(data, Path):
        return Manifest.read(data)
    with stage(f"data {data.name}") as progress:
        manifest: Manifest = Workshop(Store(), seed=seed, progress=progress).instance(data)
    return manifest
