"""``areca check NAME``: run the conformance kit on a component."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from areca.cli import common


def check(
    name: common.Name,
    options: Annotated[
        list[str] | None, typer.Argument(metavar="OPTION=VALUE", help="options of the component, such as steps=2")
    ] = None,
    kind: common.OfKind = None,
) -> None:
    """Run the conformance kit on a component. The exit code is 1 if a check fails."""
    from areca.files.yaml_text import read_pairs
    from areca.testing import CheckedComponent, Skipped, run

    registry = common.registry()
    entry = common.find_component(registry, name, kind)
    given = read_pairs(options or (), what="option", example="steps=2")
    counts = {"pass": 0, "fail": 0, "skip": 0}
    with tempfile.TemporaryDirectory() as directory:
        checked = CheckedComponent(entry, Path(directory), registry=registry, options=given)
        with contextlib.suppress(Skipped):
            _ = checked.part  # wrong options are reported once, not by each check
        for outcome in run(checked):
            counts[outcome.state] += 1
            print(f"{outcome.state}  {outcome.check}{': ' if outcome.message else ''}{outcome.message}", flush=True)
    print(f"{entry.qualified}: {counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped")
    if counts["fail"]:
        raise typer.Exit(1)
