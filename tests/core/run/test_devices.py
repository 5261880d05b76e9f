"""Every verb that computes rejects an unusable device in one line, before any work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from areca.cli.app import app
from areca.errors import InvalidConfig
from areca.run.devices import describe_device, require_single_process, resolve_device, resolve_local_device

VERBS = {
    "train": ["train", "run.yaml"],
    "fit": ["fit", "run.yaml"],
    "tokenize": ["tokenize", "run.yaml"],
    "run": ["run", "in.wav"],
    "evaluate": ["evaluate", "run.yaml"],
    "ablate": ["ablate", "study.yaml"],
    "validate": ["validate", "run.yaml"],
}
MISSING = [name for name in ("cuda", "mps") if not getattr(torch, name).is_available()]


@pytest.mark.parametrize("device", [*MISSING, f"cuda:{torch.cuda.device_count() + 7}", "tpu", "meta", "", "x" * 200])
def test_a_device_that_cannot_be_used_is_refused(device: str) -> None:
    with pytest.raises(InvalidConfig, match=r"^device '.*: not available \(.+\); expected one of cpu") as caught:
        resolve_device(device)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_device_that_can_be_used() -> None:
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")


GPU = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def test_auto_is_the_first_device_that_works() -> None:
    assert resolve_device("auto").type == GPU
    assert describe_device(torch.device("cpu")) == "cpu"


@pytest.mark.skipif(GPU != "cpu", reason="a GPU works here")
def test_auto_passes_over_a_device_that_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cpu")


def test_auto_takes_gpus_only_if_each_process_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    asked = []
    monkeypatch.setattr("areca.run.devices.resolve_device", lambda device: asked.append(device))
    for device, rank, count in (("auto", 2, 3), ("auto", 2, 4), ("cuda", 1, 4), ("cpu", 1, 2)):
        resolve_local_device(device, rank, count)
    assert asked == ["cuda:2", "cpu", "cuda:1", "cpu"]


def test_the_default_device_is_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARECA_DEVICE", "tpu")
    done = CliRunner().invoke(app, ["validate", "run.yaml"])
    assert done.exit_code == 1 and "device 'tpu': not available" in done.stderr


@pytest.mark.parametrize("size", ["2", "64", "two", "-1"])
def test_several_processes_are_refused(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(InvalidConfig, match="areca runs in one process; start it without torchrun"):
        require_single_process()


@pytest.mark.parametrize("size", ["", "0", "1"])
def test_a_single_process_is_accepted(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", size)
    require_single_process()


ALL = """
import sys
from typer.testing import CliRunner
from areca.cli.app import app
for line in sys.argv[1:]:
    done = CliRunner().invoke(app, line.split())
    print(done.exit_code, done.stderr.replace("\\n", "|"))
"""


@pytest.mark.parametrize(
    ("extra", "variables", "says"),
    [
        (" --device tpu", {}, "device 'tpu': not available"),
        ("", {"WORLD_SIZE": "2", "RANK": "0"}, "WORLD_SIZE is '2', expected 1: areca runs in one process"),
    ],
)
def test_every_verb_that_computes_refuses_before_any_work(
    extra: str, variables: dict[str, str], says: str, tmp_path: Path
) -> None:
    for name in ("run.yaml", "study.yaml", "in.wav"):  # what is wrong in them would be said later
        (tmp_path / name).write_text(yaml.safe_dump({"nothing": 1}))
    refusing = {name: command for name, command in VERBS.items() if name != "train" or "WORLD_SIZE" not in variables}
    lines = [" ".join(command) + extra for command in refusing.values()]
    lines += ["data say count=1"] if not extra else []
    env = os.environ | {"ARECA_HOME": str(tmp_path / "home")} | variables
    done = subprocess.run(
        [sys.executable, "-c", ALL, *lines], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    found = done.stdout.splitlines()
    assert len(found) == len(lines), done.stderr
    for line, said in zip(lines, found, strict=True):
        assert said.startswith(f"1 error: {says}") and said.count("|") == 1, (line, said)
    assert not (tmp_path / "home").exists()
