"""``areca report DIR``: tables and a listening page from results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from areca.cli import common


def report(directory: Annotated[Path, typer.Argument(metavar="DIR", help="folder with results.jsonl")]) -> None:
    """Make report.md and a listening page, index.html, from the results of an evaluation, and print the tables."""
    from areca.evaluation.report import write_report

    for table in write_report(directory):
        print(f"{table.title}\n")
        common.print_table(table.header, table.rows)
        print("\n" + "\n".join(table.notes) + "\n")
    print(f"written: {directory / 'report.md'}, {directory / 'index.html'}")
