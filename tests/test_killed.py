"""Commands that are killed at any moment and repeated end like undisturbed ones; see ``tests/kills``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).with_name("kills")
sys.path.append(str(KILLS))

from comparing import contents  # noqa: E402
from verbs import VERBS  # noqa: E402


def kill(folder: Path, verb: str, kills: int) -> None:
    """Let the program kill a verb; it fails if anything is different."""
    command = [sys.executable, str(KILLS), str(folder), verb, "--kills", str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"| {verb} | {kills} | " in done.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the kills of `areca data`."""
    folder = tmp_path_factory.mktemp("kills")
    kill(folder, "data", 2)
    return folder / "data"


@pytest.mark.slow
def test_a_dataset_killed_while_audio_is_written_holds_no_draft(data: Path, tmp_path: Path) -> None:
    verb, env = VERBS[0], os.environ | {"ARECA_HOME": str(tmp_path / "home")}
    how = {"home": str(tmp_path), "match": r"\.flac\.\d+\.\d+\.draft$", "event": 3 * 40 + 2}  # written, not yet named
    line = [sys.executable, str(KILLS / "victim.py")]
    done = subprocess.run([*line, json.dumps(how), *verb.command], env=env, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (left,) = tmp_path.rglob("*.draft")
    assert left.name.startswith(".") and left.read_bytes().startswith(b"fLaC")
    done = subprocess.run([sys.executable, "-m", "areca", *verb.command], env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path) == contents(data / "undisturbed")


def test_the_comparison_detects_a_changed_bit_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "artifact.json").write_text('{"created": "now", "took_s": 1, "key": "a"}')
    before = contents(tmp_path)
    (tmp_path / "artifact.json").write_text('{"created": "then", "took_s": 2, "key": "a"}')
    assert contents(tmp_path) == before
    (tmp_path / "artifact.json").write_text('{"created": "then", "took_s": 2, "key": "b"}')
    assert contents(tmp_path).keys() == before.keys() and contents(tmp_path) != before
    (tmp_path / ".x.flac.1.0.draft").touch()
    assert len(contents(tmp_path)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_each_verb_killed_at_random_moments_ends_with_the_same_files(verb: str, tmp_path: Path) -> None:
    kill(tmp_path, verb, 3)
