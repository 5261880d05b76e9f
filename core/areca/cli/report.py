"""``areca report DIR``: tables and a listening page from results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from areca.cli import common

if TYPE_CHECKING:
    from areca.registry.registry import Registry


def report(directory: Annotated[Path, typer.Argument(metavar="DIR", help="folder with results.jsonl")]) -> None:
    """Make report.md and a listening page, index.html, from the results of an evaluation, and print the tables."""
    print_report(directory, common.registry())


def print_report(directory: Path, registry: Registry) -> None:
    """Write the report of the results in `directory`, and print its tables; metrics are found in `registry`."""
    from areca.evaluation.report import write_report

    for table in write_report(directory, registry):
        print(f"{table.title}\n")
        common.print_table(table.header, table.rows)
        print("\n" + "\n".join(table.notes) + "\n")
    print(f"written: {directory / 'report.md'}, {directory / 'index.html'}")
