"""``areca doctor``: find what is broken or missing on this machine, and say what to type."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator, Sequence
from importlib import metadata

import typer

import areca
from areca.artifacts.store import Store
from areca.cli import common
from areca.errors import StorageError
from areca.files.writing import probe
from areca.registry.entry import PluginFailure
from areca.registry.registry import Registry
from areca.registry.verbs import broken_verbs

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?P<rest>.*?)(?:;.*extra\s*==\s*['\"](?P<extra>[\w-]+)['\"].*)?")
_NOT_A_FEATURE = ("all", "dev")
"""Extras that combine other extras."""


def doctor() -> None:
    """Find what is broken or missing in this installation. The exit code is 1 if something is broken."""
    registry = common.registry()
    print(f"areca {areca.__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"{os.cpu_count()} processors, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}")
    missing = _print_dependencies()
    _print_extras()
    unwritable = _print_home()
    verbs = broken_verbs()
    _print_plugins(registry, verbs)
    if missing or unwritable or registry.broken or verbs:
        raise typer.Exit(1)


def _read_requirements() -> Iterator[tuple[str, str | None]]:
    for text in metadata.requires("areca") or ():
        if match := _REQUIREMENT.fullmatch(text):
            yield match["name"], match["extra"]


def _find_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _print_dependencies() -> list[str]:
    versions = {name: _find_version(name) for name, extra in _read_requirements() if extra is None}
    print("\ndependencies")
    print("  " + ", ".join(f"{name} {version}" for name, version in versions.items() if version))
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        print(f"  missing: {', '.join(missing)}: pip install {' '.join(missing)}")
    return missing


def _print_extras() -> None:
    print("\nextras")
    extras: dict[str, list[str]] = {}
    for name, extra in _read_requirements():
        if extra is not None and extra not in _NOT_A_FEATURE:
            extras.setdefault(extra, []).append(name)
    for extra, names in extras.items():
        missing = [name for name in names if _find_version(name) is None]
        state = f"missing {', '.join(missing)}: pip install 'areca[{extra}]'" if missing else "ok"
        print(f"  {extra}: {state}")


def _print_home() -> bool:
    try:
        root = Store().root
        probe(root)
    except StorageError as error:
        print(f"\n  broken: {error}: set ARECA_HOME to a folder that you can write to")
        return True
    existing = next(p for p in (root, *root.absolute().parents) if p.is_dir())
    print(f"\nartifacts are stored in {root} (ARECA_HOME), {shutil.disk_usage(existing).free / 1e9:.1f} GB free")
    return False


def _print_plugins(registry: Registry, verbs: Sequence[PluginFailure]) -> None:
    print("\nplugins")
    for provider in registry.plugins:
        names = [e.component.name for e in registry.entries() if e.provider == provider]
        print(f"  {provider} {provider.version}: {', '.join(names)}")
    for entry in registry.entries():
        if entry.missing():
            print(f"  {entry.component.kind} {entry.component.name}: {common.describe_health(entry)}")
    for broken in registry.broken:
        print(f"  broken: {broken}")
    for broken in verbs:
        print(f"  broken verb: {broken}")
    if allowed := os.environ.get("ARECA_PLUGINS"):
        print(f"  ARECA_PLUGINS={allowed} leaves out all other plugins")
