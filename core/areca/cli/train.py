"""``areca train run.yaml``: train a checkpoint, and build everything it needs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from areca.cli import common
from areca.cli.common import hide_download_bars
from areca.cli.reporting import drop_output
from areca.files.writing import probe
from areca.run.config import RunConfig, check_rows, read_config

if TYPE_CHECKING:
    from areca.run.processes import Processes


def train(
    path: Annotated[Path, typer.Argument(metavar="RUN.YAML", help="the run")],
    overrides: common.Overrides = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="a new folder to copy the checkpoint to", show_default=False)
    ] = None,
    device: common.SharedDevice = common.AUTO_DEVICE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would be built and what training would take, and build nothing")
    ] = False,
) -> None:
    """Train a checkpoint from a run's YAML: build the data, fit the components, encode the audio and train the LM.

    Existing artifacts are reused. To resume an interrupted run, even after kill -9, run the same command again: it
    ends with the same weights. On Ctrl-C or SIGTERM, the training state is saved first.

    `torchrun --nproc_per_node=2 -m areca train RUN.yaml` trains on two processes, each with half of every batch.
    """
    hide_download_bars()
    from areca.errors import InvalidArtifact
    from areca.run.devices import require_single_process
    from areca.run.processes import join_processes

    if dry_run:
        require_single_process()
    with join_processes(device) as processes, _only_first_prints(processes):
        if output is not None and output.exists():
            raise InvalidArtifact(f"{output}: exists already; name a folder that does not")
        run = read_config(path, overrides or (), plugins=common.plugins())
        check_rows(run)
        if processes.is_first:
            common.show_device(processes.device)
        _train(run, output, processes, dry_run=dry_run)


def _train(run: RunConfig, output: Path | None, processes: Processes, *, dry_run: bool) -> None:
    from areca.artifacts.checkpoint import export_checkpoint
    from areca.artifacts.store import Store
    from areca.job import silent
    from areca.pipeline.pipeline import Pipeline

    stage = common.progress if processes.is_first else silent
    pipeline = Pipeline(run, Store(processes=processes), device=processes.device, stage=stage)
    common.print_table(("what", "state", "key"), [(s.label, s.state, s.key[:12]) for s in pipeline.steps()])
    if dry_run:
        from areca.cli.dry_run import print_budget

        print_budget(run, run.training, pipeline.device)
        return
    if output is not None and processes.is_first:
        probe(output)
    print("Ctrl-C is safe: the training state is saved, and the same command resumes from it.\n", flush=True)
    directory = pipeline.checkpoint().directory
    losses = pipeline.validation_loss()
    if not processes.is_first:
        return
    if output is not None:
        export_checkpoint(directory, output)
        directory = output
    if losses:
        print("validation loss: " + ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items()))
    print(f"checkpoint: {directory}")
    print(f"use it:     areca run {directory} --task {run.tasks[0].name} ... (see areca run --help)")
    print(f"score it:   areca evaluate {directory}")


@contextmanager
def _only_first_prints(processes: Processes) -> Iterator[None]:
    """Within the block, other processes print neither output, warnings nor that they were interrupted."""
    if processes.is_first:
        yield
        return
    drop_output()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except KeyboardInterrupt as e:
        raise SystemExit(getattr(e, "code", 130)) from e
