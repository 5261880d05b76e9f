"""``areca check NAME``: run the conformance kit on a component."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from areca.cli import common
from areca.errors import InvalidConfig


def check(
    name: common.Name,
    options: Annotated[
        list[str] | None, typer.Argument(metavar="OPTION=VALUE", help="options to check it under, as steps=2")
    ] = None,
    kind: common.OfKind = None,
) -> None:
    """Run the conformance kit on a component; exit code 1 if a check fails."""
    from omegaconf import OmegaConf

    from areca.testing import Skipped, Subject, run

    for pair in options or ():
        if "=" not in pair:
            raise InvalidConfig(f"option {pair!r}: expected option=value, as steps=2")
    registry = common.registry()
    entry = common.find(registry, name, kind)
    given = OmegaConf.to_container(OmegaConf.from_dotlist(list(options or ())))
    assert isinstance(given, dict)
    counts = {"pass": 0, "fail": 0, "skip": 0}
    with tempfile.TemporaryDirectory() as directory:
        subject = Subject(entry, Path(directory), registry=registry, options={str(k): v for k, v in given.items()})
        with contextlib.suppress(Skipped):
            _ = subject.part  # what is wrong with the options themselves is said once
        for outcome in run(subject):
            counts[outcome.state] += 1
            print(f"{outcome.state}  {outcome.check}{': ' if outcome.message else ''}{outcome.message}", flush=True)
    print(f"{entry.qualified}: {counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped")
    if counts["fail"]:
        raise typer.Exit(1)
