"""Debian packages that tests write."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

MakeDeb = Callable[[str, dict[str, bytes]], Path]


def build_deb(folder: Path, package: str, files: dict[str, bytes]) -> Path:
    """Build a package with `files` in ``archives`` in `folder`, and return that folder; skip the test without dpkg."""
    tree = folder / f"tree-{package}"
    (tree / "DEBIAN").mkdir(parents=True)
    control = f"Package: {package}\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: x\n"
    (tree / "DEBIAN" / "control").write_text(control)
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    archives = folder / "archives"
    archives.mkdir(exist_ok=True)
    try:
        subprocess.run(["dpkg-deb", "--build", tree, archives / f"{package}_1.0_all.deb"], check=True, stdout=-3)
    except FileNotFoundError:
        pytest.skip("dpkg-deb is not installed")
    return archives
