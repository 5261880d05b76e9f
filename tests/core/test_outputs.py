"""Outputs that cannot be written: one line with advice, and no answer is lost."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile
import torch
from safetensors.torch import save_file
from tests.warm import Warm
from typer.testing import CliRunner

from areca import audio
from areca.artifacts.store import Store
from areca.cli.app import app
from areca.errors import StorageError
from areca.files.copying import copy_folder
from areca.files.faults import describe_machine_error, find_os_error
from areca.files.names import sanitize_folder_name, shorten_file_name
from areca.files.writing import create_folder, hold_lock, probe, replace_file, wrap_storage_errors
from areca.manifest import read_manifest
from areca.system import NANO, Result, System
from areca.types import Audio

FULL = Path("/dev/full")
FEW_BYTES = "128k"
SAY = ["say", "languages=[fr]", "sources=[synthetic]", "target_source=synthetic", "count=3"]
SAY += ["validation_count=1", "test_count=1", "workers=1"]


def mount(kind: str, *arguments: str) -> None:
    """Mount something, or skip the test where that is not allowed."""
    done = subprocess.run(["mount", "-t", kind, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a {kind} here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 128 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mount("tmpfs", "-o", f"size={FEW_BYTES}", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def read_only(disk: Path) -> Path:
    """The same, which cannot be written to."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    return disk


def arrow(path: Path) -> None:
    table = pa.table({"x": np.zeros(1 << 17)})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


LIBRARIES: dict[str, Callable[[Path], Any]] = {
    "python": lambda path: path.write_bytes(bytes(1 << 20)),
    "safetensors": lambda path: save_file({"x": torch.zeros(1 << 18)}, path),
    "torch": lambda path: torch.save(torch.zeros(1 << 18), path),
    "numpy": lambda path: np.save(path.open("wb"), np.zeros(1 << 18)),
    "arrow": arrow,
    "soundfile": lambda path: soundfile.write(str(path), np.zeros(1 << 18), 16_000, format="WAV"),
    "areca": lambda path: audio.write(path.with_suffix(".wav"), Audio(torch.rand(1, 1 << 18), 16_000)),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_library_on_a_full_disk_is_one_line(disk: Path, library: str) -> None:
    with pytest.raises(StorageError) as caught, replace_file(disk / "x") as draft:
        LIBRARIES[library](draft)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(disk))
    reason = "System error." if library == "soundfile" else "free some space, or choose another location"
    assert reason in str(caught.value)
    assert not [p for p in disk.iterdir() if not p.name.startswith(".tmp")]  # safetensors has drafts of its own


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), "/x/y: Permission denied: change its permissions"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/x"), "/x: Disk quota exceeded: free some of your quota"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error: check the disk"),
        (OSError("of\n  a hub"), "of a hub"),
        (MemoryError(), "not enough memory (MemoryError): use smaller batches"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nmore"), "not enough memory (CUDA out of memory."),
        (
            UnicodeEncodeError("utf-8", "/x/\udcff.wav", 3, 4, "no"),
            "'/x/\\udcff.wav' is not valid utf-8 text: rename",
        ),
        (RecursionError("maximum recursion depth exceeded"), "the input is nested too deeply"),
    ],
)
def test_machine_errors_are_one_line(error: Exception, says: str) -> None:
    line = describe_machine_error(error)
    assert line is not None and line.startswith(says) and "\n" not in line


def test_errors_of_areca_and_of_code_are_unchanged() -> None:
    for error in (StorageError("x"), KeyError("x"), RuntimeError("shapes differ"), ValueError("x")):
        assert find_os_error(error) is None
    with pytest.raises(RuntimeError, match="shapes differ"), wrap_storage_errors(Path("x")):
        raise RuntimeError("shapes differ")


def test_a_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    probe(tmp_path / "a" / "b" / "c")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", tmp_path / "file" / "x", tmp_path / ("x" * 300), tmp_path / "y" / ("x" * 300)):
        with pytest.raises(StorageError):
            probe(wrong)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_names_fit_and_stay_apart(tmp_path: Path) -> None:
    names = [
        shorten_file_name(stem, ".asr.wav") for stem in ("a", "é" * 200, "é" * 199 + "e", "x" * 400, "\udcff" * 300)
    ]
    assert names[0] == "a.asr.wav" and len(set(names)) == len(names)
    for name in names:
        assert name.endswith(".asr.wav")
        (tmp_path / name).touch()
    assert [sanitize_folder_name(text) for text in ("a b", "..", "../x", "a/b\\c")] == ["a b", "-", "--x", "a-b-c"]


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    with hold_lock(tmp_path / ".lock", "busy"):
        code = "from pathlib import Path; from areca.files.writing import hold_lock\n"
        code += f"with hold_lock(Path({str(tmp_path / '.lock')!r}), 'busy'): pass"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and done.stderr.endswith("areca.errors.StorageError: busy\n")
    with hold_lock(tmp_path / ".lock", "busy"):
        pass
    with pytest.raises(StorageError, match="cannot be locked"), hold_lock(tmp_path / ".lock" / "x", "busy"):
        pass


def test_a_copy_is_never_the_same_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep" / "empty").mkdir(parents=True)
    (source / "deep" / "x").write_bytes(os.urandom(3_000_000))
    with create_folder(tmp_path / "copy") as draft:
        copy_folder(source, draft)
    assert (tmp_path / "copy" / "deep" / "empty").is_dir()
    copied = tmp_path / "copy" / "deep" / "x"
    content = (source / "deep" / "x").read_bytes()
    assert copied.read_bytes() == content and copied.stat().st_nlink == 1
    with copied.open("r+b") as file:
        file.write(b"changed")
    assert (source / "deep" / "x").read_bytes() == content


class Home:
    """Runs of the command line in a folder, with a store of their own.

    Args:
        folder: where they work.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"

    def start(self, *arguments: str, out: Any = subprocess.PIPE, **variables: str) -> subprocess.Popen[str]:
        """Start a process."""
        env = os.environ | {"ARECA_HOME": str(self.home), "PYTHONUNBUFFERED": ""} | variables
        command = [sys.executable, "-m", "areca", *arguments]
        return subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, env=env, cwd=self.folder)

    def apart(self, *arguments: str, out: Any = subprocess.PIPE, **variables: str) -> tuple[int, str, str]:
        """Run in a process; return its exit code, output and errors."""
        process = self.start(*arguments, out=out, **variables)
        stdout, stderr = process.communicate()
        assert "Traceback" not in stderr, stderr
        return process.returncode, stdout or "", stderr

    def run(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        """Run in this process, which has imported everything; return as `apart`."""
        env = {"ARECA_HOME": str(self.home)} | variables
        with contextlib.chdir(self.folder):
            result = copy_context().run(CliRunner().invoke, app, arguments, env=env)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A store that holds a dataset, and ``in.flac``, a recording of it."""
    home = Home(tmp_path_factory.mktemp("made"))
    code, _, err = home.run("data", *SAY)
    assert code == 0, err
    recording = next(path for path in sorted(home.home.rglob("audio/**/*.flac")))
    (home.folder / "in.flac").write_bytes(recording.read_bytes())
    return home


def test_a_dataset_is_copied_whole_or_not_at_all(made: Home, tmp_path: Path) -> None:
    folder = tmp_path / "fr"
    kills, rng = 0, random.Random(0)
    [store] = Store(made.home).directories()
    while kills < 3:
        process = made.start("data", *SAY, "-o", str(folder))
        while process.poll() is None and not list(tmp_path.glob(".fr.*.draft")):
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.01))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        if folder.exists():
            assert {p.name for p in folder.iterdir()} == {p.name for p in store.iterdir()}
            subprocess.run(["rm", "-r", str(folder)], check=True)
    code, _, err = made.run("data", *SAY, "-o", str(folder))
    assert code == 0, err
    assert [p.name for p in tmp_path.iterdir()] == ["fr"]  # no draft of a killed process either
    assert all(p.stat().st_nlink == 1 for p in folder.rglob("*") if p.is_file())
    assert read_manifest(folder / "manifest.jsonl").key == store.name


def test_an_existing_copy_is_accepted_and_other_files_are_refused(made: Home, tmp_path: Path) -> None:
    folder = tmp_path / "fr"
    assert made.run("data", *SAY, "-o", str(folder))[0] == 0
    code, out, _ = made.run("data", *SAY, "-o", str(folder))
    assert code == 0 and out.startswith(f"{folder} already holds this dataset\n")
    refusal = f"error: {folder}: exists already; name another folder, or remove this one\n"
    assert made.run("data", *SAY, "--seed", "1", "-o", str(folder)) == (1, "", refusal)
    with (folder / "manifest.jsonl").open("a") as file:
        file.write("\n")
    assert made.run("data", *SAY, "-o", str(folder)) == (1, "", refusal)


REFUSED = {
    "data": ["data", *SAY, "-o", "{place}/x"],
    "run": ["run", "in.flac", "--source", "fr", "--target", "en", "-o", "{place}/x"],
    "run file": ["run", "in.flac", "--source", "fr", "--target", "en", "-o", "{place}/x.wav"],
    "evaluate": ["evaluate", "-o", "{place}/x"],
    "ablate": ["ablate", "study.yaml", "-o", "{place}/x"],
    "train": ["train", "run.yaml", "-o", "{place}/x"],
    "export": ["export", "{nano}", "{place}/x"],
    "new": ["new", "task", "my-task", "-o", "{place}/x"],
}
RUN = "{data: {name: say}, tokenizer: {name: mfcc-kmeans}, backbone: {name: decoder}, tasks: [asr]}"
STUDY = "{base: run.yaml, axes: {size: {small: {training: {steps: 2}}, large: {training: {steps: 3}}}}}"


@pytest.mark.parametrize("verb", REFUSED)
def test_outputs_are_probed_before_the_work(made: Home, tmp_path: Path, verb: str) -> None:
    (made.folder / "run.yaml").write_text(RUN)
    (made.folder / "study.yaml").write_text(STUDY)
    place = tmp_path / "file"
    place.touch()
    start = set(made.home.rglob("*"))
    command = [word.format(place=place, nano=NANO) for word in REFUSED[verb]]
    code, _, err = made.run(*command)
    assert code == 1
    assert err.startswith(f"error: {place}") and err.count("\n") == 1, err
    assert "Not a directory" in err and "choose another location" in err
    assert set(made.home.rglob("*")) == start and place.read_bytes() == b""


@pytest.mark.parametrize("verb", ["data", "run file", "new"])
def test_outputs_on_a_read_only_disk(made: Home, read_only: Path, verb: str) -> None:
    code, _, err = made.run(*(word.format(place=read_only) for word in REFUSED[verb]))
    assert code == 1 and err.count("\n") == 1
    assert err.startswith(f"error: {read_only}") and "Read-only file system" in err, err


def test_a_store_that_cannot_be_written_says_what_to_type(made: Home, disk: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    elsewhere = "  to keep artifacts elsewhere: ARECA_HOME=/a/folder/of/yours areca ...\n"
    for home, reason in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "x", "Not a directory")):
        code, _, err = made.run("data", *SAY, ARECA_HOME=str(home))
        assert (code, err.count("\n")) == (1, 2) and reason in err and err.endswith(elsewhere), err
        doctor = made.run("doctor", ARECA_HOME=str(home))[1]
        assert f"broken: {home}: cannot be written" in doctor and "set ARECA_HOME" in doctor
    (disk / "fill").write_bytes(bytes(100_000))
    code, _, err = made.run("data", *SAY, ARECA_HOME=str(disk))
    last = err.splitlines()[-2:]
    assert code == 1 and last[0].startswith(f"error: {disk}/") and "No space left on device" in last[0], err
    assert err.endswith(elsewhere)
    (disk / "fill").unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    code, _, err = made.run("data", *SAY, ARECA_HOME=str(disk))
    assert code == 1 and "Read-only file system" in err and err.endswith(elsewhere), err


def test_a_store_on_a_read_only_disk_serves_what_it_holds(disk: Path) -> None:
    store = Store(disk)
    store.make({"a": 1}, lambda directory: (directory / "x").write_text("1") and None, label="x")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert Store(disk).make({"a": 1}, lambda directory: None, label="x").directory.is_dir()
    with pytest.raises(StorageError, match=r"Read-only file system\): .*\n  to keep artifacts elsewhere: ARECA_HOME"):
        Store(disk).make({"a": 2}, lambda directory: None, label="x")


def test_an_error_about_another_file_does_not_blame_the_store(tmp_path: Path) -> None:
    def build(directory: Path) -> None:
        (tmp_path / "missing").read_bytes()

    with pytest.raises(FileNotFoundError):
        Store(tmp_path / "store").make({"a": 1}, build, label="x")


def test_without_a_home_folder_a_store_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ARECA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    store = Store()
    with pytest.raises(StorageError, match=r"no home folder .*\n.* ARECA_HOME=/a/folder"):
        _ = store.root


SPEAK = ["run", "in.flac", "other.flac", "--source", "fr", "--target", "en", "--batch", "1"]


@pytest.fixture
def asked(made: Home, tmp_path: Path) -> Home:
    """Two recordings, the second of an over-long name, in a folder of their own."""
    for name in ("in.flac", "other.flac", "é" * 120 + ".flac"):
        (tmp_path / name).write_bytes((made.folder / "in.flac").read_bytes())
    return Home(tmp_path)


def test_answers_that_cannot_be_printed_are_kept(asked: Home, warm: Warm) -> None:
    env = os.environ | {"ARECA_HOME": str(asked.home)}
    done = warm.run(*SPEAK, "-o", "out", cwd=asked.folder, env=env, stdout=str(FULL))
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first == "error: standard output: No space left on device: free some space, or choose another location"
    kept = asked.folder / second.removeprefix("  the answers are in ")
    rows = json.loads(kept.read_text())
    assert [row["input"] for row in rows] == ["in.flac", "other.flac"]
    assert rows[0]["texts"] == rows[1]["texts"] and rows[0]["texts"]["target.text"]
    assert all((asked.folder / row["audio"]).is_file() for row in rows)


ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}


def test_any_character_can_be_printed() -> None:
    code = "from areca.cli.reporting import to_json, open_output\nopen_output()\nprint('é \\udcff', to_json('é'))"
    for encoding, expected in (("ascii", b'\\xe9 \\udcff "\\u00e9"\n'), ("utf-8", 'é \\udcff "é"\n'.encode())):
        env = os.environ | {"PYTHONIOENCODING": encoding}
        assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env).stdout == expected


@pytest.mark.slow
def test_answers_in_ascii(asked: Home) -> None:
    name = "é" * 120 + ".flac"
    code, out, err = asked.apart("run", name, "--source", "fr", "--target", "en", "-o", "out", "--json", **ASCII)
    assert code == 0 and out.isascii(), err
    [row] = json.loads(out)
    assert row["input"] == name and (asked.folder / row["audio"]).is_file()
    assert 200 < len(os.fsencode(Path(row["audio"]).name)) <= 255


@pytest.mark.slow
def test_a_closed_pipe_loses_no_speech(asked: Home) -> None:
    process = asked.start(*SPEAK, "-o", "out", PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate()
    assert (process.returncode, err) == (141, "")
    assert sorted(p.name for p in (asked.folder / "out").iterdir()) == [
        "in.asr+ast+s2st.wav",
        "other.asr+ast+s2st.wav",
    ]


def test_speech_that_cannot_be_written_is_kept_elsewhere(asked: Home, disk: Path) -> None:
    (disk / "fill").write_bytes(bytes(100_000))  # a byte can be written, an answer cannot
    code, out, err = asked.run(*SPEAK, "-o", str(disk))
    assert code == 1
    assert out.splitlines()[0] == "in.flac" and "other.flac" in out.splitlines()
    lines = err.splitlines()
    assert len(lines) == 4 and "No space left on device): free some space" in lines[0]
    for line in lines[1::2]:
        kept = Path(line.removeprefix("  the answer is in "))
        assert audio.read(kept).seconds > 0.1 and str(kept) in out
    assert [p.name for p in disk.iterdir()] == ["fill"]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_late_failure_loses_no_earlier_answer(asked: Home, monkeypatch: pytest.MonkeyPatch, form: list[str]) -> None:
    answer, calls = System._answer, []

    def failing(*arguments: Any) -> list[Result]:
        calls.append(arguments)
        if len(calls) == 2:
            raise MemoryError("no more")
        return answer(*arguments)

    monkeypatch.setattr(System, "_answer", failing)
    code, out, err = asked.run(*SPEAK, "-o", "out", *form)
    assert code == 1
    assert err.startswith("error: not enough memory (no more): use smaller batches"), err
    assert out.startswith('[\n {\n  "input": "in.flac"' if form else "in.flac\n  source.text")
    assert "other.flac" not in out
    assert (asked.folder / "out" / "in.asr+ast+s2st.wav").is_file()


@pytest.mark.parametrize(
    "verb", [["list"], ["--help"], ["list", "--json"], ["show", "say"], ["doctor"], ["store", "ls"]]
)
def test_any_verb_on_any_output(made: Home, verb: list[str]) -> None:
    code, out, err = made.apart(*verb, **ASCII)
    assert code == 0 and out.isascii(), err
    with FULL.open("w") as full:
        code, _, err = made.apart(*verb, out=full)
    assert code == 1
    assert err == "error: standard output: No space left on device: free some space, or choose another location\n"
    process = made.start(*verb)
    assert process.stdout is not None
    process.stdout.close()
    assert process.communicate()[1] == "" and process.returncode in (1, 141)  # 1: the help, of typer's


def test_a_plugin_package_appears_whole(tmp_path: Path, disk: Path) -> None:
    home = Home(tmp_path)
    (disk / "fill").write_bytes(bytes(126_000))
    code, _, err = home.run("new", "tokenizer", "my-codec", "-o", str(disk / "codec"))
    assert code == 1 and "No space left on device" in err and err.count("\n") == 1
    assert [p.name for p in disk.iterdir()] == ["fill"]
    (disk / "fill").unlink()
    assert home.run("new", "tokenizer", "my-codec", "-o", str(disk / "codec"))[0] == 0


def test_two_studies_into_one_folder(made: Home, tmp_path: Path) -> None:
    (made.folder / "run.yaml").write_text(RUN)
    (made.folder / "study.yaml").write_text(STUDY)
    with hold_lock(tmp_path / ".lock", "busy"):
        code, _, err = made.run("ablate", "study.yaml", "-o", str(tmp_path))
    assert (code, err) == (
        1,
        f"error: {tmp_path}: another process is running this study: wait until it ends, or name another folder (-o)\n",
    )
