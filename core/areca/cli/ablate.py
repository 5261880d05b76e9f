"""``areca ablate study.yaml``: train and evaluate every cell of a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from areca.cli import common
from areca.cli.common import hide_download_bars
from areca.files.writing import hold_lock, probe, write_text
from areca.run.study import Cell, read_study

if TYPE_CHECKING:
    from areca.evaluation.report import Table
    from areca.manifest import Manifest
    from areca.pipeline.pipeline import Pipeline

TABLE = "study.md"


def ablate(
    path: Annotated[Path, typer.Argument(metavar="STUDY.YAML", help="the study")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="folder of the results (default: results/NAME)")
    ] = None,
    device: common.Device = common.AUTO_DEVICE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be built, and build nothing")] = False,
) -> None:
    """Train and evaluate every cell of a study (a combination of its axes) under every seed, and compare them.

    Artifacts that several cells share are built once. To resume interrupted work, run the same command again.
    """
    hide_download_bars()
    from areca.evaluation.folder import LOCK, RESULTS

    cells = read_study(path, plugins=common.plugins())
    directory = output or Path("results") / path.stem
    device = common.use_device(device)
    pipelines = _create_pipelines(cells, device)
    common.print_table(("cell", "seed", "to build"), [_plan_cell(*pair, directory) for pair in pipelines])
    if dry_run:
        return
    probe(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with hold_lock(
        directory / LOCK,
        f"{directory}: another process is running this study: wait until it ends, or name another folder (-o)",
    ):
        losses: dict[str, dict[int, dict[str, dict[str, float]]]] = {}
        for number, (cell, pipeline) in enumerate(pipelines, 1):
            print(f"\n{number}/{len(cells)}: {cell.label}, seed {cell.seed}", flush=True)
            known = (_folder(directory, cell) / RESULTS).is_file()
            _evaluate(pipeline, _folder(directory, cell), device)
            losses.setdefault(cell.label, {})[cell.seed] = pipeline.validation_loss_by_stream()
            if not known and number < len(pipelines):
                _compare(cells, directory, losses)  # a long study shows partial results
        tables = _compare(cells, directory, losses)
    for table in tables:
        common.print_table(table.header, table.rows)
        print("\n" + "\n".join(table.notes))
    print(f"written: {directory / TABLE}")


def _create_pipelines(cells: list[Cell], device: str) -> list[tuple[Cell, Pipeline]]:
    """Return the pipeline of each cell. Errors in any cell are raised here; each manifest is read once."""
    from areca.artifacts.store import Store
    from areca.evaluation.inputs import resolve_evaluation
    from areca.pipeline.pipeline import Pipeline

    store = Store()
    manifests: dict[tuple[Path, Path | None], Manifest] = {}
    pipelines = []
    for cell in cells:
        resolve_evaluation(cell.run)
        data = cell.run.data
        known = manifests.get((data, cell.run.data_root)) if isinstance(data, Path) else None
        pipeline = Pipeline(cell.run, store, device=device, stage=common.progress, manifest=known)
        if isinstance(data, Path) and data.is_file():
            manifests[data, cell.run.data_root] = pipeline.data()
        pipelines.append((cell, pipeline))
    return pipelines


def _plan_cell(cell: Cell, pipeline: Pipeline, directory: Path) -> tuple[str, str, str]:
    from areca.errors import InvalidArtifact
    from areca.evaluation.folder import IDENTITY, RESULTS

    folder = _folder(directory, cell)
    waiting = [step.label for step in pipeline.steps() if step.state != "ready"]
    if "lm" in waiting and (folder / IDENTITY).is_file():  # the evaluation would refuse it, but only after the training
        raise InvalidArtifact(
            f"{folder}: holds the evaluation of another model: the study was edited, or its models were removed. "
            "Name another folder (-o), or remove this one"
        )
    if not (folder / RESULTS).is_file():
        waiting.append("evaluation")
    return cell.label, str(cell.seed), ", ".join(waiting) or "nothing"


def _folder(directory: Path, cell: Cell) -> Path:
    return directory / cell.folder / f"seed-{cell.seed}"


def _evaluate(pipeline: Pipeline, directory: Path, device: str) -> None:
    from areca.evaluation.inputs import open_inputs
    from areca.evaluation.report import write_report

    opened = open_inputs(pipeline, None, {}, plugins=common.plugins(), device=device, stage=common.progress)
    opened.evaluate(directory, device=device, stage=common.progress)
    write_report(directory, opened.registry)


def _compare(
    cells: list[Cell], directory: Path, losses: Mapping[str, Mapping[int, Mapping[str, Mapping[str, float]]]]
) -> list[Table]:
    """Write and return the comparison of the cells that have been evaluated."""
    from areca.evaluation.comparison import compare_cells, compare_losses
    from areca.evaluation.folder import RESULTS
    from areca.evaluation.results import ResultRow, read_results

    results: dict[str, dict[int, list[ResultRow]]] = {}
    for cell in cells:
        if (path := _folder(directory, cell) / RESULTS).is_file():
            results.setdefault(cell.label, {})[cell.seed] = read_results(path)
    tables = [compare_cells(results, cells[0].run.registry)]
    if (faults := compare_cells(results, cells[0].run.registry, faults=True)).rows:
        tables.append(faults)
    if any(tasks for seeds in losses.values() for tasks in seeds.values()):
        tables.append(compare_losses(losses))
    write_text(directory / TABLE, "\n".join(table.markdown() for table in tables))
    return tables
