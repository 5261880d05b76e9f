"""``areca store`` lists artifacts and removes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest

from areca.artifacts.store import Store


def _write(text: str) -> Callable[[Path], None]:
    return lambda directory: (directory / "a").write_text(text) and None


def test_store_lists_removes_and_collects(world: Any) -> None:
    store = Store(world.directory / "home")
    first, second = (store.make({"seed": i}, _write("x" * 2_000_000), label=f"tokenizer {i}") for i in range(2))

    def fail(directory: Path) -> None:
        (directory / "half").write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.make({"seed": 2}, fail, label="tokenizer 2")
    [left] = store.unfinished()

    rows = [line.split() for line in world.areca("store", "ls").stdout.splitlines()[2:]]
    made = [row for row in rows if row[0] == "tokenizer"]
    assert [row[1:5] for row in made] == [["0", first.key[:12], "2.0", "MB"], ["1", second.key[:12], "2.0", "MB"]]
    assert time.strftime("%Y-%m-%d", time.gmtime())[:7] in made[0][5]
    assert made[0][6:] == ["0", "s"]
    assert ["(unfinished)", left.name[:12], "0.0", "MB"] in rows

    dry = world.areca("store", "gc", "--dry-run")
    assert dry.stdout == f"would remove {left.name} (0.0 MB)\n" and left.exists()
    assert world.areca("store", "gc").stdout == f"removed {left.name} (0.0 MB)\n" and not left.exists()

    assert world.areca("store", "rm", first.key[:8]).stdout == f"removed {first.key}\n"
    assert [a.key for a in Store(store.root).artifacts()] == [second.key]
    gone = world.areca("store", "rm", first.key[:8])
    assert gone.returncode == 1
    assert gone.stderr.startswith(f"error: no artifact in {store.root} has a key that begins with '{first.key[:8]}'")


def test_store_keeps_builds_in_progress_and_lists_damaged_artifacts(world: Any) -> None:
    store = Store(world.directory / "home")
    made = store.make({"seed": 0}, _write("x"), label="tokenizer")
    (made.directory / "artifact.json").write_text("{")
    (store.root / f"{'c' * 64}.partial").mkdir()
    with filelock.FileLock(store.root / f"{'c' * 64}.lock"):
        assert world.areca("store", "gc").stdout == f"kept {'c' * 64}.partial: a process is making it\n"
        busy = world.areca("store", "rm", "cccc")
        assert busy.returncode == 1 and "a process is building it" in busy.stderr
    assert ["(damaged)", made.key[:12]] in [row.split()[:2] for row in world.areca("store", "ls").stdout.splitlines()]
    assert world.areca("store", "rm", made.key).returncode == 0
    assert not made.directory.exists()
