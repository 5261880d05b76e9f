"""``areca tokenize run.yaml``: encode the audio that a run's tasks read or write."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from areca.cli import common
from areca.cli.common import hide_download_bars
from areca.run.config import read_config


def tokenize(
    path: Annotated[Path, typer.Argument(metavar="RUN.YAML", help="the run")],
    overrides: common.Overrides = None,
    split: Annotated[str, typer.Option(help="split of the data")] = "train",
    device: common.Device = common.AUTO_DEVICE,
) -> None:
    """Encode the audio that a run's tasks read or write. Missing data is built, and tokenizers are fitted first."""
    hide_download_bars()
    from areca.artifacts.store import Store
    from areca.pipeline.pipeline import Pipeline

    run = read_config(path, overrides or (), plugins=common.plugins())
    tables = Pipeline(run, Store(), device=common.use_device(device), stage=common.progress).tables(split)
    rows = [
        (wanted.role, run.tokenizers[wanted.role].name, wanted.column, wanted.form.kind, str(len(table)))
        for wanted, table in tables.items()
    ]
    common.print_table(("role", "tokenizer", "column", "as", "rows"), rows)
