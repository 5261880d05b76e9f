"""``areca train run.yaml``: train a checkpoint, and build everything it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from areca.cli import common
from areca.cli.common import hide_download_bars
from areca.files.writing import probe
from areca.run.config import read_config


def train(
    path: Annotated[Path, typer.Argument(metavar="RUN.YAML", help="the run")],
    overrides: common.Overrides = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="a new folder to copy the checkpoint to", show_default=False)
    ] = None,
    device: common.Device = "cpu",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would be built and what training would take, and build nothing")
    ] = False,
) -> None:
    """Train a checkpoint from a run's YAML: build the data, fit the components, encode the audio and train the LM.

    Existing artifacts are reused. To resume an interrupted run, even after kill -9, run the same command again: it
    ends with the same weights. On Ctrl-C or SIGTERM, the training state is saved first.
    """
    hide_download_bars()
    from areca.artifacts.checkpoint import export_checkpoint
    from areca.artifacts.store import Store
    from areca.errors import InvalidArtifact
    from areca.pipeline.pipeline import Pipeline

    if output is not None and output.exists():
        raise InvalidArtifact(f"{output}: exists already; name a folder that does not")
    run = read_config(path, overrides or (), plugins=common.plugins())
    pipeline = Pipeline(run, Store(), device=device, stage=common.progress)
    common.print_table(("what", "state", "key"), [(s.label, s.state, s.key[:12]) for s in pipeline.steps()])
    if dry_run:
        from areca.cli.dry_run import print_budget

        print_budget(run, run.training, pipeline.device)
        return
    if output is not None:
        probe(output)
    print("Ctrl-C is safe: the training state is saved, and the same command resumes from it.\n", flush=True)
    directory = pipeline.checkpoint().directory
    if output is not None:
        export_checkpoint(directory, output)
        directory = output
    if losses := pipeline.validation_loss():
        print("validation loss: " + ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items()))
    print(f"checkpoint: {directory}")
    print(f"use it:     areca run {directory} --task {run.tasks[0].name} ... (see areca run --help)")
    print(f"score it:   areca evaluate {directory}")
