"""Artifacts are built once, never used incomplete, and verified when reused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from areca.artifact import META, WORK, Artifact, seal
from areca.artifacts.store import Store
from areca.errors import ArecaWarning, InvalidArtifact
from areca.options import key_of

INPUTS = {"component": "tokenizer:x", "config": {"clusters": 8}, "seed": 0}
KEY = key_of(INPUTS)

BUILDER = """
import os, sys, time
from pathlib import Path
from areca.artifacts.store import Store

root, log, wait_s = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])

def build(directory):
    with log.open("a") as f:
        f.write(f"{sorted(p.name for p in directory.iterdir())}\\n")
    (directory / "half").write_text("half")
    log.with_suffix(".started").touch()
    time.sleep(wait_s)
    (directory / "whole").write_text("whole")

inputs = {"component": "tokenizer:x", "config": {"clusters": 8}, "seed": 0}
print(Store(root).make(inputs, build, label="x", resume=sys.argv[4] == "resume").fingerprint)
"""


def builder(root: Path, log: Path, wait_s: float = 0.0, resume: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILDER, str(root), str(log), str(wait_s), resume]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def write(directory: Path) -> None:
    (directory / "sub").mkdir()
    (directory / "a.txt").write_text("a")
    (directory / "sub" / "b.txt").write_text("b")


def never(directory: Path) -> None:
    raise AssertionError("made a second time")


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_key_is_the_hash_of_canonical_json() -> None:
    text = '{"a":[1,2.5,null],"b":{"c":"\u00e9","d":true}}'
    assert key_of({"b": {"d": True, "c": "\u00e9"}, "a": [1, 2.5, None]}) == hashlib.sha256(text.encode()).hexdigest()
    with pytest.raises(ValueError):
        key_of({"a": float("nan")})


def test_an_artifact_is_built_once(tmp_path: Path) -> None:
    made = Store(tmp_path).make(INPUTS, write, label="x")
    assert (made.key, made.directory) == (KEY, tmp_path / KEY)
    assert (made.directory / "sub" / "b.txt").read_text() == "b"
    again = Store(tmp_path).make(INPUTS, never, label="x")
    assert again == made
    assert Store(tmp_path).find(KEY) == made


def test_fingerprint_covers_key_and_files(tmp_path: Path) -> None:
    made = Store(tmp_path).make(INPUTS, write, label="x")
    files = {"a.txt": hashlib.sha256(b"a").hexdigest(), "sub/b.txt": hashlib.sha256(b"b").hexdigest()}
    assert made.fingerprint == key_of({"key": KEY, "files": files})
    meta = json.loads((made.directory / META).read_text())
    assert (meta["files"], meta["inputs"], meta["bytes"]) == (files, INPUTS, 2)


def test_other_inputs_give_another_artifact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    a = store.make(INPUTS, write, label="x")
    b = store.make(INPUTS | {"seed": 1}, write, label="x")
    assert a.key != b.key and a.fingerprint != b.fingerprint
    assert [x.key for x in store.artifacts()] == sorted([a.key, b.key])


def test_a_failed_build_leaves_no_artifact(tmp_path: Path) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").write_text("half")
        raise RuntimeError("boom")

    store = Store(tmp_path)
    with pytest.raises(RuntimeError, match="boom"):
        store.make(INPUTS, fail, label="x")
    assert store.find(KEY) is None
    assert [p.name for p in store.unfinished()] == [f"{KEY}.partial"]
    made = store.make(INPUTS, write, label="x")  # the half-made file is gone
    assert sorted(p.name for p in made.directory.iterdir()) == ["a.txt", META, "sub"]


@pytest.mark.parametrize(("resume", "found"), [("", "[]"), ("resume", "['half']")])
def test_a_killed_build_is_never_used_but_rebuilt_or_resumed(tmp_path: Path, resume: str, found: str) -> None:
    root, log = tmp_path / "store", tmp_path / "log"
    process = builder(root, log, 60.0, resume)
    wait_for(tmp_path / "log.started")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert Store(root).find(KEY) is None
    done = builder(root, log, 0.0, resume)
    out, err = done.communicate()
    assert done.returncode == 0, err
    assert log.read_text().splitlines() == ["[]", found]
    assert Artifact.open(root / KEY).fingerprint == out.strip()


def test_two_processes_build_an_artifact_once(tmp_path: Path) -> None:
    processes = [builder(tmp_path / "store", tmp_path / "log", 0.5) for _ in range(2)]
    outputs = [p.communicate() for p in processes]
    assert [p.returncode for p in processes] == [0, 0], outputs
    assert len({out for out, _ in outputs}) == 1
    assert (tmp_path / "log").read_text().splitlines() == ["[]"]


def test_a_build_killed_while_sealing_is_resumed(tmp_path: Path) -> None:
    partial = tmp_path / f"{KEY}.partial"
    partial.mkdir(parents=True)
    (partial / f".{META}.0.0.draft").write_text("{")
    made = Store(tmp_path).make(INPUTS, write, label="x", resume=True)
    assert Artifact.open(made.directory) == made


def test_the_state_of_an_unfinished_build_is_not_in_the_artifact(tmp_path: Path) -> None:
    found: list[list[str]] = []

    def build(directory: Path) -> None:
        (directory / WORK / "deep").mkdir(parents=True, exist_ok=True)
        found.append([p.name for p in (directory / WORK / "deep").iterdir()])
        (directory / WORK / "deep" / "state").write_text("3")
        (directory / WORK / "link").unlink(missing_ok=True)
        (directory / WORK / "link").symlink_to("deep")
        if len(found) == 1:
            raise KeyboardInterrupt
        write(directory)

    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).make(INPUTS, build, label="x", resume=True)
    made = Store(tmp_path).make(INPUTS, build, label="x", resume=True)
    assert found == [[], ["state"]]
    assert sorted(p.name for p in made.directory.iterdir()) == ["a.txt", META, "sub"]
    plain = Store(tmp_path / "plain").make(INPUTS, write, label="x")
    assert Artifact.open(made.directory).fingerprint == plain.fingerprint


def test_a_build_killed_before_its_final_rename_is_not_rebuilt(tmp_path: Path) -> None:
    """For each moment of the end: the folder of work there, half there, gone."""
    for number, left in enumerate((["state", "more"], ["more"], [])):
        root = tmp_path / str(number)
        partial = root / f"{KEY}.partial"
        (partial / WORK).mkdir(parents=True)
        for name in left:
            (partial / WORK / name).write_text("")
        write(partial)
        seal(partial, KEY, INPUTS, "x")
        made = Store(root).make(INPUTS, never, label="x")
        assert Artifact.open(made.directory) == made
        assert sorted(p.name for p in made.directory.iterdir()) == ["a.txt", META, "sub"]


def test_drafts_of_killed_processes_are_not_in_the_artifact(tmp_path: Path) -> None:
    """Those of areca, and those that safetensors writes beside its file."""
    partial = tmp_path / f"{KEY}.partial"
    (partial / "audio").mkdir(parents=True)
    for name in (".encoder.safetensors.4.0.draft", ".tmpkZzOm6", "audio/.x.flac.4.1.draft"):
        (partial / name).write_text("half")
    made = Store(tmp_path).make(INPUTS, write, label="x", resume=True)
    assert made.fingerprint == Store(tmp_path / "plain").make(INPUTS, write, label="x").fingerprint


@pytest.mark.parametrize("name", ["a.txt", META])
def test_a_build_damaged_before_its_final_rename_is_rebuilt(name: str, tmp_path: Path) -> None:
    whole = Store(tmp_path / "whole").make(INPUTS, write, label="x")
    partial = tmp_path / f"{KEY}.partial"
    (partial / WORK).mkdir(parents=True)
    write(partial)
    seal(partial, KEY, INPUTS, "x")
    content = (partial / name).read_bytes()
    (partial / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.warns(ArecaWarning, match=f"{name}.*; it is rebuilt"):
        made = Store(tmp_path).make(INPUTS, write, label="x")
    assert Artifact.open(made.directory).fingerprint == whole.fingerprint


@pytest.mark.parametrize("name", ["a.txt", "sub/b.txt"])
def test_changed_file_is_refused_and_named(tmp_path: Path, name: str) -> None:
    made = Store(tmp_path).make(INPUTS, write, label="x")
    (made.directory / name).write_text("c")
    with pytest.raises(InvalidArtifact) as error:
        Store(tmp_path).make(INPUTS, never, label="x")
    assert f"{name}: changed since it was made" in str(error.value)
    assert f"areca store rm {KEY[:12]}" in str(error.value)


def test_missing_and_added_files_are_refused(tmp_path: Path) -> None:
    made = Store(tmp_path).make(INPUTS, write, label="x")
    (made.directory / "extra").write_text("c")
    with pytest.raises(InvalidArtifact, match="files added or missing: extra"):
        Store(tmp_path).find(KEY)
    (made.directory / "extra").unlink()
    (made.directory / "a.txt").unlink()
    with pytest.raises(InvalidArtifact, match=r"files added or missing: a\.txt"):
        Store(tmp_path).find(KEY)


def test_symbolic_links_are_refused(tmp_path: Path) -> None:
    made = Store(tmp_path).make(INPUTS, write, label="x")
    (made.directory / "link").symlink_to("/etc/hostname")
    with pytest.raises(InvalidArtifact, match="holds no symbolic links"):
        Artifact.open(made.directory)


def test_changed_metadata_is_refused(tmp_path: Path) -> None:
    made = Store(tmp_path).make(INPUTS, write, label="x")
    meta = json.loads((made.directory / META).read_text())
    meta["files"]["a.txt"] = hashlib.sha256(b"c").hexdigest()
    (made.directory / "a.txt").write_text("c")
    (made.directory / META).write_text(json.dumps(meta))
    with pytest.raises(InvalidArtifact, match="fingerprint does not belong to its key and files"):
        Artifact.open(made.directory)
    (made.directory / META).write_text("{")
    with pytest.raises(InvalidArtifact, match=r"artifact\.json: expected JSON"):
        Artifact.open(made.directory)
    with pytest.raises(InvalidArtifact, match="not an artifact"):
        Artifact.open(tmp_path)


def test_the_environment_names_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARECA_HOME", str(tmp_path / "home"))
    assert Store().root == tmp_path / "home"
    monkeypatch.delenv("ARECA_HOME")
    assert Store().root == Path(os.path.expanduser("~/.cache/areca"))


def test_a_removed_artifact_is_rebuilt(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = store.make(INPUTS, write, label="x")
    store.remove(made.directory)
    assert store.find(KEY) is None and store.artifacts() == [] and store.unfinished() == []
    assert store.make(INPUTS, write, label="x") == made


def test_removal_killed_halfway_is_neither_used_nor_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    made = store.make(INPUTS, write, label="x")

    def killed(path: Path, **other: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            store.remove(made.directory)
    assert Store(tmp_path).find(KEY) is None
    [left] = store.unfinished()
    again = Store(tmp_path).make(INPUTS, write, label="x", resume=True)
    assert sorted(p.name for p in again.directory.iterdir()) == ["a.txt", META, "sub"]
    store.remove(left)
    assert store.unfinished() == [] and Artifact.open(again.directory) == again


def test_an_artifact_in_progress_is_not_removed(tmp_path: Path) -> None:
    root = tmp_path / "store"
    process = builder(root, tmp_path / "log", 60.0)
    try:
        wait_for(tmp_path / "log.started")
        store = Store(root)
        [partial] = store.unfinished()
        assert store.busy(partial)
        with pytest.raises(InvalidArtifact, match="a process is building it"):
            store.remove(partial)
        assert partial.is_dir()
    finally:
        process.kill()
        process.communicate()
    assert not store.busy(partial)
    store.remove(partial)
    assert store.unfinished() == []


def _as_link(path: Path, kept: Path) -> None:
    path.rename(kept)
    path.symlink_to(kept)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda made, kept: _as_link(made / META, kept), "expected a regular file, got a symbolic link"),
        (
            lambda made, kept: ((made / META).unlink(), os.mkfifo(made / META)),
            "got a named pipe",
        ),
        (lambda made, kept: ((made / META).unlink(), (made / META).mkdir()), "expected a regular file, got a folder"),
        (lambda made, kept: ((made / META).unlink(), (made / META).symlink_to("/dev/zero")), "got a symbolic link"),
        (lambda made, kept: (made / META).write_text("[" * 200_000), "at most 50 levels"),
        (lambda made, kept: (made / META).write_text("[" * 60 + "]" * 60), "at most 50 levels"),
        (lambda made, kept: (made / META).write_text('{"a": NaN}'), "expected finite numbers"),
        (lambda made, kept: (made / META).write_text('{"a": 1, "a": 2}'), "the key 'a' appears twice"),
        (lambda made, kept: (made / META).write_text('{"files": [], "key": 3}'), "expected 'label', a str"),
        (lambda made, kept: (made / META).write_bytes(b"\xff"), "expected JSON"),
        (lambda made, kept: os.truncate(made / META, (1 << 28) + 1), "expected at most 268,435,456 bytes"),
        (lambda made, kept: _as_link(made / "sub", kept), "holds no symbolic links"),
        (lambda made, kept: _as_link(made / "a.txt", kept), "holds no symbolic links"),
        (lambda made, kept: os.mkfifo(made / "pipe"), "this is a pipe, socket or device"),
        (lambda made, kept: _as_link(made, kept), "a folder, this is a symbolic link"),
        (lambda made, kept: shutil.rmtree(made / "sub"), "files added or missing"),
    ],
)
def test_foreign_files_at_an_artifacts_path_are_one_error_line(damage: Any, says: str, tmp_path: Path) -> None:
    made = Store(tmp_path / "store").make(INPUTS, write, label="x").directory
    damage(made, tmp_path / "kept")
    with pytest.raises(InvalidArtifact, match=says) as caught:
        Store(tmp_path / "store").make(INPUTS, never, label="x")
    assert f"areca store rm {KEY[:12]}" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2
    Store(tmp_path / "store").remove(made)  # what the message says to type
    assert Store(tmp_path / "store").make(INPUTS, write, label="x").directory == made


def test_an_artifact_under_another_key_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    other = store.make({"another": 1}, write, label="other")
    shutil.copytree(other.directory, tmp_path / KEY)
    with pytest.raises(InvalidArtifact, match=f"holds the artifact of another key, '{other.key}'"):
        store.find(KEY)
    with pytest.raises(InvalidArtifact, match="another key"):
        store.artifacts()
