"""The shipped checkpoint gives the recorded answers, and the wheel holds it with every package."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import areca
from areca import audio
from areca.artifacts.checkpoint import open_checkpoint, stored_parts
from areca.cli.app import app
from areca.errors import ArecaWarning
from areca.generation.requests import read_sound
from areca.system import NANO, System
from areca.testing.corpus import write_corpus
from areca.types import Audio
from tests import ROOT, recording

MOST_BYTES = 20_000_000


@pytest.fixture(scope="module")
def nano() -> System:
    return areca.load()


def test_it_transcribes_and_repeats_exactly(nano: System, tmp_path: Path) -> None:
    write_corpus(tmp_path)
    first, second = (nano.run("asr", tmp_path / "0-fr.wav", source="French") for _ in range(2))
    assert isinstance(first.transcript, str) and first.texts.keys() == {"source.text"}
    assert (first.transcript, first.cut) == (second.transcript, second.cut)


def test_the_command_line_uses_it_by_default(nano: System, tmp_path: Path) -> None:
    write_corpus(tmp_path)
    sound, out = tmp_path / "0-fr.wav", tmp_path / "out.wav"
    command = ["run", str(sound), "--source", "French", "--target", "English", "-o", str(out)]
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, done.stderr) == (0, "")
    assert nano.fullest_task("audio") == "asr+ast+s2st"
    transcript = nano.run("asr+ast+s2st", sound, source="fr", target="en").transcript
    assert done.stdout.startswith(f"{sound}\n  source.text  {transcript}\n  target.text  ")
    assert f"\n  speech       {out} (" in done.stdout
    assert audio.read(out).seconds > 0.1


def test_silence_around_a_phrase_leaves_its_words(nano: System, tmp_path: Path) -> None:
    write_corpus(tmp_path)
    clean = audio.read(tmp_path / "0-fr.wav")
    said = nano.run("asr", clean, source="French")
    rate, length = clean.sample_rate_hz, clean.samples.shape[1]
    assert said.trimmed_s == (0.0, 0.0)
    for before_s, behind_s in ((0, 10), (3, 0), (3, 3)):
        padded = torch.nn.functional.pad(clean.samples, (before_s * rate, behind_s * rate))
        result = nano.run("asr", (padded, rate), source="French")
        assert sum(result.trimmed_s) == pytest.approx(
            before_s + behind_s - 0.05 * (bool(before_s) + bool(behind_s)), abs=0.2
        )
        heard = nano._reader.convert(read_sound((padded, rate)), ["speech"])[0]["speech"].samples
        assert abs(heard.shape[1] - length) < 0.15 * rate


def test_antiphase_is_transcribed_from_its_louder_channel(nano: System, tmp_path: Path) -> None:
    write_corpus(tmp_path)
    mono = audio.read(tmp_path / "0-fr.wav")
    anti = Audio(torch.cat([mono.samples, -mono.samples]), mono.sample_rate_hz, "anti")
    with pytest.warns(ArecaWarning, match="anti: the 2 channels cancel each other"):
        answer = nano.run("asr", anti, source="French").transcript
    assert answer == nano.run("asr", mono, source="French").transcript


def test_answers_equal_the_recorded_ones(nano: System) -> None:
    expected, found = json.loads(recording.FILE.read_text(encoding="utf-8")), recording.record(nano)
    losses = {task: pytest.approx(values, rel=1e-3, abs=1e-3) for task, values in expected.pop("losses").items()}
    assert found.pop("losses") == losses
    assert json.loads(json.dumps(found)) == expected


def test_the_revisions_of_its_parts_are_supported(nano: System) -> None:
    opened = open_checkpoint(NANO)  # refuses others
    made = {role: part["revision"] for role, part in opened.provenance["parts"].items()}
    components = {role: part.entry.component for role, part in nano.run_config.parts.items()}
    assert made.keys() == components.keys()
    assert all(made[role] in {c.revision, *c.loads_revisions} for role, c in components.items())
    assert set(opened.parts) == set(stored_parts(opened.run)) == {"speech.tokenizer", "vocoder"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds the wheel, is not installed")
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [path] = directory.glob("areca-*.whl")
    return path


def _files(directory: Path) -> dict[str, Path]:
    return {
        path.relative_to(directory).as_posix(): path
        for path in directory.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_checkpoint_byte_for_byte(wheel: Path, tmp_path: Path) -> None:
    expected = {f"areca/assets/nano/{name}": path for name, path in _files(NANO).items()}
    with zipfile.ZipFile(wheel) as archive:
        held = {info.filename: info.file_size for info in archive.infolist() if "/nano/" in info.filename}
        assert set(held) == set(expected)
        assert 1_000_000 < sum(held.values()) <= MOST_BYTES
        archive.extractall(tmp_path, members=held)
    open_checkpoint(tmp_path / "areca" / "assets" / "nano")  # verifies every file


def test_the_wheel_holds_every_package_and_nothing_else(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    expected = set[str]()
    for root in project["tool"]["hatch"]["build"]["targets"]["wheel"]["sources"]:
        packages = [init.parent for init in (ROOT / root).glob("*/__init__.py")]
        assert packages, f"{root}: an import root without a package"
        expected |= {f"{package.name}/{name}" for package in packages for name in _files(package)}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == expected
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"areca", *project["project"]["entry-points"]["areca"].values()}
    assert {f"{top}/py.typed" for top in tops} <= names
