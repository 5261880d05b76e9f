"""What an evaluation starts from: a checkpoint or a run, the data, and the options of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from areca.artifacts.checkpoint import read_source
from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.component import Kind
from areca.errors import InvalidConfig, quote
from areca.evaluation.evaluate import evaluate
from areca.evaluation.judging import judge_part, open_judge
from areca.interfaces import Stage
from areca.manifest import Manifest
from areca.options import build
from areca.pipeline.pipeline import Pipeline
from areca.registry.parts import Part, resolve
from areca.registry.registry import Registry
from areca.run.config import RunConfig, read_config
from areca.run.options import EvaluationConfig
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
        identity: what tells the system from all others.
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


def evaluation_of(run: RunConfig, options: Mapping[str, Any] = MappingProxyType({})) -> EvaluationConfig:
    """Return a run's options of evaluation, `options` over them; what they name is looked up.

    Raises:
        InvalidConfig, UnknownComponent, MissingDependency: a wrong option, or a judge or normaliser that is not there.
    """
    config = build(EvaluationConfig, {**run.evaluation, **options}, "evaluation")
    for wanted in config.judges:
        judge_part(run.registry, wanted).entry.target()
    return config


def open_inputs(
    checkpoint: Path | Pipeline | None,
    data: Path | None,
    options: Mapping[str, Any],
    *,
    plugins: Sequence[str],
    device: str,
    stage: Stage,
) -> Inputs:
    """Open a checkpoint and the data to evaluate it on, making what is missing.

    Args:
        checkpoint: its folder; a run's YAML or its pipeline, which makes the checkpoint if it is not there; None: the
            shipped one.
        data: a manifest; a run's YAML, whose data and options are used; None: what the checkpoint was made from.
        options: of `EvaluationConfig`; they win over the YAML's ``evaluation:``.
        plugins: files or modules to load.
        device: where to compute.
        stage: shows progress.

    Raises:
        InvalidConfig: no data, a wrong option.
        InvalidArtifact: no checkpoint.
    """
    pipeline = checkpoint if isinstance(checkpoint, Pipeline) else _pipeline(checkpoint, plugins, device, stage)
    asked = _run_of(data, plugins) or (pipeline.run if pipeline and data is None else None)
    config = evaluation_of(asked, options) if asked else None  # what is wrong is said before anything is trained
    if pipeline:
        system = load(pipeline.checkpoint().directory, device=device, plugins=pipeline.run.plugins)
    else:
        assert not isinstance(checkpoint, Pipeline)
        system = load(checkpoint, device=device, plugins=plugins)
    if asked is None or config is None:
        said, manifest = _own(system, data, stage)
        config = build(EvaluationConfig, {**said, **options}, "evaluation")
    else:
        manifest = (
            pipeline.data() if pipeline and data is None else _data_of(asked.data, asked.seed, stage, asked.data_root)
        )
    held = system.run_config
    registry = held.registry if asked is None else asked.registry
    return Inputs(held.name, system, manifest, config, registry, system.checkpoint.identity)


def _pipeline(path: Path | None, plugins: Sequence[str], device: str, stage: Stage) -> Pipeline | None:
    run = _run_of(path, plugins)
    return None if run is None else Pipeline(run, Store(), device=device, stage=stage)


def _run_of(path: Path | None, plugins: Sequence[str]) -> RunConfig | None:
    return read_config(path, plugins=plugins) if path is not None and path.suffix in _RECIPE else None


def _own(system: System, data: Path | None, stage: Stage) -> tuple[Mapping[str, Any], Manifest]:
    """Return the options that a checkpoint's own YAML says, and `data` or else the data that it says."""
    source = read_source(system.checkpoint.directory)
    said = source.get("evaluation") or {}
    if not isinstance(said, Mapping):
        raise InvalidConfig(f"evaluation: expected {{option: value}}, got {quote(said)}")
    if data is not None:
        return said, Manifest.read(data)
    part = source.get("data")
    if isinstance(part, Mapping) and "manifest" not in part:
        run: RunConfig = system.run_config
        return said, _data_of(resolve(run.registry, Kind.DATASET, part, role="data"), run.seed, stage)
    raise InvalidConfig(
        f"{system.checkpoint.directory}: was made from {part or 'data that it does not name'}, which is not in it: "
        "name a manifest, as: areca evaluate CHECKPOINT manifest.jsonl"
    )


def _data_of(data: Part | Path | None, seed: int, stage: Stage, root: Path | None = None) -> Manifest:
    if data is None:
        raise InvalidConfig("the run's YAML has no 'data:'; name a manifest: areca evaluate CHECKPOINT manifest.jsonl")
    if isinstance(data, Path):
        return Manifest.read(data, root=root)
    manifest: Manifest = PartLoader(Store(), seed=seed, stage=stage).instance(data)
    return manifest
