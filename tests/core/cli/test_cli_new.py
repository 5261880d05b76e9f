"""``areca new`` creates a plugin package that works without changes."""

from __future__ import annotations

from typing import Any

import pytest

from areca.specs import KINDS

OFTEN = ("tokenizer", "vocoder", "metric")
"""Kinds that are tested always; the others have simpler templates."""


@pytest.mark.parametrize(
    "kind",
    [pytest.param(str(k.name), marks=() if k.name in OFTEN else pytest.mark.slow) for k in KINDS],
)
def test_new_makes_a_package_that_passes_everything(world: Any, kind: str) -> None:
    done = world.warm("new", kind, "my-thing", "-o", "thing")
    assert done.returncode == 0, done.stderr
    assert "pip install -e thing" in done.stdout
    checked = world.warm("-p", "thing/src/areca_my_thing/__init__.py", "check", "my-thing")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert " 0 failed" in checked.stdout
    pyproject = (world.directory / "thing" / "pyproject.toml").read_text()
    assert '[project.entry-points.areca]\nmy_thing = "areca_my_thing"' in pyproject
    assert 'addopts = "--areca-plugin my_thing"' in pyproject  # its tests are of this package alone


def test_new_replaces_nothing(world: Any) -> None:
    (world.directory / "thing").mkdir()
    again = world.warm("new", "tokenizer", "my-thing", "-o", "thing")
    assert (again.returncode, again.stderr) == (1, "error: thing: exists already; name a folder that does not\n")


def test_new_refuses_bad_names_and_kinds(world: Any) -> None:
    assert "name 'My_Codec': expected lowercase words" in world.areca("new", "tokenizer", "My_Codec").stderr
    assert "no kind is called 'tokeniser'; did you mean 'tokenizer'?" in world.areca("new", "tokeniser", "mine").stderr
