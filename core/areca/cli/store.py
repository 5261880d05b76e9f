"""``areca store``: list and remove stored artifacts."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Annotated

import typer

from areca.artifact import PARTIAL, Artifact, read_meta
from areca.artifacts.store import Store
from areca.cli import common
from areca.errors import InvalidArtifact, InvalidConfig, quote

store = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List and remove stored artifacts (in ARECA_HOME).",
)
_SHORT = 12
"""Characters of a key that are shown."""


@store.command()
def ls() -> None:
    """List artifacts with size, date, and the time that the last call took to build them."""
    root = Store()
    rows = [_row(path) for path in root.directories()]
    rows += [["(unfinished)", p.name.removesuffix(PARTIAL)[:_SHORT], _size(p), "", ""] for p in root.unfinished()]
    common.print_table(("label", "key", "size", "made", "took"), sorted(rows))


def _row(directory: Path) -> list[str]:
    key = directory.name[:_SHORT]
    try:
        artifact = Artifact.open(directory, verify=False)
    except InvalidArtifact:
        return ["(damaged)", key, _size(directory), "", ""]
    meta = read_meta(directory)
    took_s = meta.get("took_s")
    took = f"{took_s:.0f} s" if isinstance(took_s, (int, float)) else ""
    return [artifact.label, key, _size(directory), str(meta.get("created", "")), took]


def _size(directory: Path) -> str:
    return f"{sum(map(_bytes, directory.rglob('*'))) / 1e6:.1f} MB"


def _bytes(path: Path) -> int:
    try:
        status = path.lstat()
    except FileNotFoundError:  # another process has just removed it
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


@store.command()
def rm(
    keys: Annotated[
        list[str], typer.Argument(metavar="KEY...", help="keys, or their first characters, as `ls` shows them")
    ],
) -> None:
    """Remove artifacts. Artifacts that were built from them stay."""
    root = Store()
    for path in [_find(root, key) for key in keys]:
        root.remove(path)
        print(f"removed {path.name}")


def _find(root: Store, prefix: str) -> Path:
    matches = [p for p in (*root.directories(), *root.unfinished()) if prefix and p.name.startswith(prefix)]
    if not matches:
        raise InvalidConfig(
            f"no artifact in {root.root} has a key that begins with {quote(prefix)}: see `areca store ls`"
        )
    if len(matches) > 1:
        raise InvalidConfig(
            f"{len(matches)} keys begin with {quote(prefix)}: {', '.join(p.name[:_SHORT] for p in matches)}"
        )
    return matches[0]


@store.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be removed")] = False,
) -> None:
    """Remove unfinished artifacts that no process is building."""
    root = Store()
    for path in root.unfinished():
        if root.busy(path):
            print(f"kept {path.name}: a process is making it")
        elif dry_run:
            print(f"would remove {path.name} ({_size(path)})")
        else:
            size = _size(path)
            root.remove(path)
            print(f"removed {path.name} ({size})")
