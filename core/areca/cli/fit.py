"""``areca fit run.yaml``: fit the parts that are trained from data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from areca.cli import common
from areca.cli.quiet import quiet
from areca.config import read_config


def fit(
    path: Annotated[Path, typer.Argument(metavar="RUN.YAML", help="the run")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="win over the file")] = None,
    device: Annotated[str, typer.Option(help="where to compute, as cuda")] = "cpu",
) -> None:
    """Make a run's data and fit its tokenizers, backbone and vocoder; what is there already is not made again."""
    quiet()
    from areca.pipeline import Pipeline
    from areca.store import Store

    run = read_config(path, overrides or (), plugins=common.plugins())
    artifacts = Pipeline(run, Store(), device=device, stage=common.progress).fit()
    rows = [(role, run.parts[role].name, str(artifact.directory)) for role, artifact in artifacts.items()]
    common.print_table(("role", "name", "files"), rows)
