"""Resolve the inputs of an evaluation: the checkpoint, the data and the options."""

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
from areca.evaluation.curves import copy_curves
from areca.evaluation.evaluate import evaluate
from areca.evaluation.examples import Scorers
from areca.evaluation.judging import open_judge, resolve_judge
from areca.evaluation.scoring import open_metrics, open_normaliser
from areca.job import Stage
from areca.manifest import Manifest, read_manifest
from areca.options import build
from areca.pipeline.pipeline import Pipeline
from areca.registry.parts import Part, resolve
from areca.registry.registry import Registry
from areca.run.config import RunConfig, read_config
from areca.run.decoding import Decoding, resolve_decoding
from areca.run.options import EvaluationConfig
from areca.run.scoring import resolve_metrics, resolve_normaliser
from areca.system import System, load

_RECIPE = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of an evaluation.

    Args:
        name: name of the run.
        system: the loaded checkpoint.
        manifest: the data, with inputs and references.
        config: the options.
        decoding: how the system answers.
        registry: registry that contains metrics, normaliser and judges.
        identity: identity of the checkpoint.
    """

    name: str
    system: System
    manifest: Manifest
    config: EvaluationConfig
    decoding: Decoding
    registry: Registry
    identity: str

    def evaluate(self, directory: Path, *, device: str, stage: Stage) -> Path:
        """Load metrics, normaliser and judges, and evaluate into `directory`; errors are those of `evaluate`."""
        scorers = Scorers(
            open_metrics(self.registry, self.config.metrics, device),
            open_normaliser(self.registry, self.config.normaliser),
            [open_judge(self.registry, wanted, device) for wanted in self.config.judges],
        )
        results = evaluate(
            self.system,
            self.manifest,
            self.config,
            scorers,
            directory,
            identity=self.identity,
            decoding=self.decoding,
            stage=stage,
        )
        copy_curves(self.system.checkpoint.directory, directory)
        return results


def resolve_evaluation(run: RunConfig, options: Mapping[str, Any] = MappingProxyType({})) -> EvaluationConfig:
    """Return a run's evaluation options, overridden by `options`; check that the components they name are available.

    Raises:
        InvalidConfig, UnknownComponent, MissingDependency: an option is wrong, or a judge, metric, normaliser or
            decoding method is not available.
    """
    return _check_evaluation(run.registry, {**run.evaluation, **options})


def _check_evaluation(registry: Registry, options: Mapping[str, Any]) -> EvaluationConfig:
    config = build(EvaluationConfig, options, "evaluation")
    resolve_metrics(registry, config.metrics)
    resolve_normaliser(registry, config.normaliser)
    for wanted in config.judges:
        resolve_judge(registry, wanted).entry.target()
    _resolve_decoding(registry, config).method.entry.target()
    return config


def _resolve_decoding(registry: Registry, config: EvaluationConfig) -> Decoding:
    return resolve_decoding(registry, config.decoding, "evaluation.decoding")


def open_inputs(
    checkpoint: Path | Pipeline | None,
    data: Path | None,
    options: Mapping[str, Any],
    *,
    plugins: Sequence[str],
    device: str,
    stage: Stage,
) -> Inputs:
    """Open the checkpoint and the data of an evaluation; missing artifacts of a run are built.

    Args:
        checkpoint: the folder of a checkpoint; the YAML of a run or its pipeline, which builds the checkpoint if
            necessary; None: the shipped checkpoint.
        data: a manifest; the YAML of a run, whose data and options are used; None: the data of the checkpoint.
        options: options of `EvaluationConfig`, which override ``evaluation:`` in the YAML.
        plugins: local plugins to load.
        device: device to compute on.
        stage: reports progress.

    Raises:
        InvalidConfig: there is no data, or an option is invalid.
        InvalidArtifact: there is no checkpoint.
    """
    pipeline = checkpoint if isinstance(checkpoint, Pipeline) else _open_pipeline(checkpoint, plugins, device, stage)
    # The run that the data and options come from; None: they come from the checkpoint.
    run = _read_run(data, plugins) or (pipeline.run if pipeline and data is None else None)
    config = resolve_evaluation(run, options) if run else None  # reports invalid options before any training
    if pipeline:
        system = load(pipeline.checkpoint().directory, device=device, plugins=pipeline.run.plugins)
    else:
        assert not isinstance(checkpoint, Pipeline)
        system = load(checkpoint, device=device, plugins=plugins)
    if run is None or config is None:
        own_options, manifest = _read_checkpoint_inputs(system, data, stage)
        config = _check_evaluation(system.run_config.registry, {**own_options, **options})
    else:
        manifest = (
            pipeline.data() if pipeline and data is None else _load_data(run.data, run.seed, stage, run.data_root)
        )
    trained = system.run_config
    registry = trained.registry if run is None else run.registry
    decoding = _resolve_decoding(registry, config)
    return Inputs(trained.name, system, manifest, config, decoding, registry, system.checkpoint.identity)


def _open_pipeline(path: Path | None, plugins: Sequence[str], device: str, stage: Stage) -> Pipeline | None:
    run = _read_run(path, plugins)
    return None if run is None else Pipeline(run, Store(), device=device, stage=stage)


def _read_run(path: Path | None, plugins: Sequence[str]) -> RunConfig | None:
    return read_config(path, plugins=plugins) if path is not None and path.suffix in _RECIPE else None


def _read_checkpoint_inputs(system: System, data: Path | None, stage: Stage) -> tuple[Mapping[str, Any], Manifest]:
    """Return the evaluation options in the checkpoint's YAML, and `data` (default: the data in the YAML)."""
    source = read_source(system.checkpoint.directory)
    options = source.get("evaluation") or {}
    if not isinstance(options, Mapping):
        raise InvalidConfig(f"evaluation: expected {{option: value}}, got {quote(options)}")
    if data is not None:
        return options, read_manifest(data)
    part = source.get("data")
    if isinstance(part, Mapping) and "manifest" not in part:
        run: RunConfig = system.run_config
        return options, _load_data(resolve(run.registry, Kind.DATASET, part, role="data"), run.seed, stage)
    raise InvalidConfig(
        f"{system.checkpoint.directory}: does not contain its training data ({part or 'not named'}): "
        "name a manifest: areca evaluate CHECKPOINT manifest.jsonl"
    )


def _load_data(data: Part | Path | None, seed: int, stage: Stage, root: Path | None = None) -> Manifest:
    if data is None:
        raise InvalidConfig("the run's YAML has no 'data:': name a manifest: areca evaluate CHECKPOINT manifest.jsonl")
    if isinstance(data, Path):
        return read_manifest(data, root=root)
    manifest: Manifest = PartLoader(Store(), seed=seed, stage=stage).instance(data)
    return manifest
