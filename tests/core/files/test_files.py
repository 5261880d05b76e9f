"""Files and folders are written atomically; storage errors are one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from areca.errors import StorageError
from areca.files.writing import DRAFT, create_folder, probe, remove_drafts, replace_file, write_json

FULL = Path("/dev/full")


def test_a_failing_block_leaves_existing_files_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(KeyError), replace_file(path) as draft:
        draft.write_text("new")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    with create_folder(folder) as draft:
        (draft / "a").mkdir()
        (draft / "a" / "x").write_text("1")
        assert not folder.exists()
    assert (folder / "a" / "x").read_text() == "1"
    with pytest.raises(KeyError), create_folder(folder, replace=True) as draft:
        (draft / "y").write_text("2")
        raise KeyError
    assert [p.name for p in folder.iterdir()] == ["a"]
    with create_folder(folder, replace=True) as draft:
        (draft / "y").write_text("2")
    assert [p.name for p in folder.iterdir()] == ["y"]
    assert [p.name for p in folder.parent.iterdir()] == ["out"]


def test_the_next_write_removes_drafts_of_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    code = (
        "import os, sys, pathlib; from areca.files.writing import replace_file\n"
        f"with replace_file(pathlib.Path({str(path)!r})) as draft:\n    draft.write_text('half'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    [draft] = tmp_path.iterdir()
    assert draft.name.endswith(DRAFT)
    mine = tmp_path / "x.txt.partial"  # looks like a draft, and is somebody's own
    mine.write_text("mine")
    with replace_file(path) as new:
        running = tmp_path / f".x.txt.{os.getppid()}.0{DRAFT}"
        running.write_text("of a process that still writes")
        new.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([path, mine, running])


def test_remove_drafts_removes_drafts_of_all_processes(tmp_path: Path) -> None:
    (tmp_path / "a" / f".folder.1.0{DRAFT}").mkdir(parents=True)
    (tmp_path / f".file.1.0{DRAFT}").touch()
    (tmp_path / "kept").touch()
    remove_drafts(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "kept"]


def test_storage_errors_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file/x.json: cannot be written \(Not a directory\): .* another location"):
        write_json(tmp_path / "file" / "x.json", {})
    with pytest.raises(StorageError, match="choose a shorter name"), replace_file(tmp_path / ("x" * 300)) as draft:
        draft.touch()
    with pytest.raises(StorageError, match="file: cannot be written"):
        probe(tmp_path / "file")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_a_full_disk_gives_advice(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"No space left on device\): free some space"), replace_file(tmp_path / "x"):
        FULL.write_text("x" * 10_000)


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", [float("nan")])
    assert not list(tmp_path.iterdir())


def test_a_probe_removes_the_probe_of_a_killed_process(tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    (tmp_path / f".probe.{killed.pid}.0{DRAFT}").write_bytes(b"0")
    probe(tmp_path)
    assert not list(tmp_path.iterdir())
