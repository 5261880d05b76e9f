"""``areca ablate study.yaml``: train and evaluate every cell of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from areca.cli import common
from areca.cli.quiet import quiet
from areca.study import Cell, read_study

TABLE = "study.md"


def ablate(
    path: Annotated[Path, typer.Argument(metavar="STUDY.YAML", help="the study")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="results' folder (else results/NAME)")] = None,
    device: Annotated[str, typer.Option(help="where to compute, as cuda")] = "cpu",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be made; make nothing")] = False,
) -> None:
    """Train a run under each combination of a study's axes and each seed, evaluate them all, and compare.

    What cells have in common is made once. Work that was interrupted goes on where it was when the same command is
    given again.
    """
    quiet()
    cells = read_study(path, plugins=common.plugins())
    _plan(cells)
    if dry_run:
        return
    directory = output or Path("results") / path.stem
    for number, cell in enumerate(cells, 1):
        print(f"\n{number}/{len(cells)}: {cell.label}, seed {cell.seed}", flush=True)
        _evaluate(cell, _folder(directory, cell), device)
    _compare(cells, directory)


def _plan(cells: list[Cell]) -> None:
    from areca.pipeline import Pipeline
    from areca.store import Store

    store = Store()
    rows = []
    for cell in cells:
        steps = Pipeline(cell.run, store).steps()
        waiting = [step.label for step in steps if step.state != "there"]
        rows.append((cell.label, str(cell.seed), ", ".join(waiting) or "nothing"))
    common.print_table(("cell", "seed", "to make"), rows)


def _folder(directory: Path, cell: Cell) -> Path:
    return directory / cell.label.replace(", ", "+").replace("/", "-") / f"seed-{cell.seed}"


def _evaluate(cell: Cell, directory: Path, device: str) -> None:
    from areca.evaluation.inputs import open_inputs

    opened = open_inputs(cell.run, None, {}, plugins=common.plugins(), device=device, stage=common.progress)
    opened.evaluate(directory, device=device, stage=common.progress)


def _compare(cells: list[Cell], directory: Path) -> None:
    from areca.evaluation.comparison import comparison
    from areca.evaluation.evaluate import RESULTS
    from areca.evaluation.results import ResultRow, read_results

    results: dict[str, dict[int, list[ResultRow]]] = {}
    for cell in cells:
        results.setdefault(cell.label, {})[cell.seed] = read_results(_folder(directory, cell) / RESULTS)
    table = comparison(results)
    (directory / TABLE).write_text(table.markdown(), encoding="utf-8")
    common.print_table(table.header, table.rows)
    print("\n" + "\n".join(table.notes) + f"\nwritten: {directory / TABLE}")
