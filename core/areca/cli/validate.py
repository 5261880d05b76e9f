"""``areca validate run.yaml``: whether the parts of a run fit each other, by their specs alone."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from areca import specs
from areca.cli import common
from areca.registry.parts import Part
from areca.rows.survey import survey
from areca.run.config import read_config


def validate(
    path: Annotated[Path, typer.Argument(metavar="RUN.YAML", help="the run")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="win over the file")] = None,
    device: common.Device = "cpu",
) -> None:
    """Check a run's YAML by specs alone: names, options, whether the parts fit each other, and what the data is.

    Of a manifest the first rows are read; no recording is opened.
    """
    run = read_config(path, overrides or (), plugins=common.plugins())
    parts = dict(run.parts)
    if isinstance(run.data, Part):
        parts["data"] = run.data
    tasks = [(mix.name, part) for mix in run.tasks for part in mix.parts]
    rows = [
        (role, part.entry.component.kind, part.name, describe(part.spec), common.health(part.entry))
        for role, part in [*parts.items(), *tasks]
    ]
    common.print_table(("role", "kind", "name", "what it is", "health"), rows)
    if isinstance(run.data, Path):
        print(f"\ndata: {run.data}, {survey(run.data, run.data_root)}")
    print(f"\nrun {run.name!r} is valid: the LM reads {run.lm.reads!r} and writes {run.lm.writes!r}")


@functools.singledispatch
def describe(spec: object) -> str:
    """Say in one line what a spec says."""
    return str(spec)


@describe.register
def _(spec: specs.TokenizerSpec) -> str:
    return f"{' + '.join(map(str, spec.streams))}, from {spec.sample_rate_hz} Hz x {spec.channels}"


@describe.register
def _(spec: specs.BackboneSpec) -> str:
    size = "" if spec.parameters is None else f", {spec.parameters / 1e6:.1f} M parameters"
    return f"{spec.family}{size}"


@describe.register
def _(spec: specs.VocoderSpec) -> str:
    return f"{' + '.join(map(str, spec.streams))} to {spec.sample_rate_hz} Hz"


@describe.register
def _(spec: specs.TaskSpec) -> str:
    return f"{', '.join(spec.inputs)} -> {', '.join(spec.outputs)}"


@describe.register(specs.DatasetSpec)
@describe.register(specs.JudgeSpec)
def _(spec: specs.DatasetSpec | specs.JudgeSpec) -> str:
    return f"{', '.join(spec.languages) or 'any language'}, {spec.sample_rate_hz} Hz"
