"""``areca list``: list installed components, and whether they can be used."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from areca.cli import common
from areca.cli.reporting import to_json
from areca.registry.entry import Entry
from areca.registry.registry import Registry


def list_(
    kind: common.OfKind = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List installed components, and what they lack."""
    registry = common.registry()
    entries = registry.entries(common.check_kind(registry, kind))
    if as_json:
        print(to_json(_to_json(registry, entries)))
        return
    rows = [
        [e.component.kind, shortest_name(registry, e), e.component.summary, common.describe_health(e)] for e in entries
    ]
    rows += [["plugin", str(b.provider), "", f"broken: {b.reason}"] for b in registry.broken]
    common.print_table(("kind", "name", "summary", "health"), rows)


def shortest_name(registry: Registry, entry: Entry) -> str:
    """Return the shortest name that finds only `entry`."""
    others = [e for e in registry.entries(entry.component.kind) if e is not entry]
    return next(name for name in entry.names if not any(name in other.names for other in others))


def _to_json(registry: Registry, entries: tuple[Entry, ...]) -> dict[str, Any]:
    return {
        "components": [_row(entry) for entry in entries],
        "broken": [
            {
                "plugin": b.provider.plugin,
                "distribution": b.provider.distribution,
                "version": b.provider.version,
                "error": b.reason,
            }
            for b in registry.broken
        ],
    }


def _row(entry: Entry) -> dict[str, Any]:
    component, provider = entry.component, entry.provider
    return {
        "kind": component.kind,
        "name": component.name,
        "qualified": entry.qualified,
        "plugin": provider.plugin,
        "distribution": provider.distribution,
        "version": provider.version,
        "summary": component.summary,
        "tags": sorted(component.tags),
        "license": component.stated_license,
        "missing": list(entry.missing()),
        "health": common.describe_health(entry),
    }
