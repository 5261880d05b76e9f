"""``areca validate run.yaml``: check from specs whether the components of a run are compatible."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from areca.cli import common
from areca.registry.parts import Part
from areca.rows.survey import survey
from areca.run.config import check_rows, read_config


def validate(
    path: Annotated[Path, typer.Argument(metavar="RUN.YAML", help="the run")],
    overrides: common.Overrides = None,
    device: common.Device = common.AUTO_DEVICE,
) -> None:
    """Check a run's YAML without loading models: names, options, whether components are compatible, and the data.

    Only the first rows of a manifest are read. No recording is opened.
    """
    run = read_config(path, overrides or (), plugins=common.plugins())
    check_rows(run)
    parts = {**run.parts, **run.training_parts}
    if isinstance(run.data, Part):
        parts["data"] = run.data
    tasks = [(mix.name, part) for mix in run.tasks for part in mix.parts]
    rows = [
        (role, part.entry.component.kind, part.name, str(part.spec), common.describe_health(part.entry))
        for role, part in [*parts.items(), *tasks]
    ]
    common.print_table(("role", "kind", "name", "what it is", "health"), rows)
    if isinstance(run.data, Path):
        print(f"\ndata: {run.data}, {survey(run.data, run.data_root)}")
    print(f"\nrun {run.name!r} is valid: the LM reads {run.lm.reads!r} and writes {run.lm.writes!r}")
