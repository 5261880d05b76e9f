"""``torchrun -m areca train``: one process builds and prints, and all end together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file
from tests.core.test_run import RUN

pytestmark = pytest.mark.slow
LONG = {"steps": 2000, "save_every_steps": 2000}


def start(root: Path, home: Path, count: int, training: dict[str, Any], **run: Any) -> subprocess.Popen[str]:
    """Start ``areca train`` in `count` processes on a run in `root`, with the store `home`."""
    path = root / f"run-{home.name}.yaml"
    path.write_text(yaml.safe_dump(RUN | {"training": RUN["training"] | training} | run))
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"] if count > 1 else []
    command = [sys.executable, *launch, "-m", "areca", "train", path.name]
    env = os.environ | {"ARECA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=root, env=env, stdout=pipe, stderr=pipe, text=True)


def labels(home: Path) -> list[str]:
    return sorted(json.loads(path.read_text())["label"] for path in home.glob("*/artifact.json"))


def lm_of(home: Path) -> Path:
    return next(path.parent for path in home.glob("*/artifact.json") if '"lm tiny"' in path.read_text())


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_build_what_one_builds(parallel: str, root: Path, tmp_path: Path) -> None:
    training = {"steps": 8, "log_every_steps": 2, "validate_every_steps": 4, "parallel": parallel}
    one, two = tmp_path / "one", tmp_path / "two"
    printed = {}
    for home, count in ((one, 1), (two, 2)):
        printed[home], errors = (process := start(root, home, count, training)).communicate(timeout=300)
        assert process.returncode == 0, errors
    assert labels(one) == labels(two)
    assert len(printed[two].splitlines()) == len(printed[one].splitlines()), "only the first process prints"
    expected, found = (load_file(lm_of(home) / "lm" / "model.safetensors") for home in (one, two))
    for name, value in expected.items():
        assert float((found[name] - value).abs().max() / value.abs().max()) < 1e-5, name
    curves = [[json.loads(x) for x in (lm_of(home) / "curves.jsonl").read_text().splitlines()] for home in (one, two)]
    for wanted, row in zip(*curves, strict=True):
        assert row["step"] == wanted["step"]
        for name in {"loss", "loss_by_task", "validation_loss"} & row.keys():
            assert row[name] == pytest.approx(wanted[name], rel=1e-5)


def test_a_failure_of_the_building_process_ends_the_launch_with_its_reason(root: Path, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the store should be; only the process that builds touches it")
    process = start(root, tmp_path / "home", 2, {})
    _, errors = process.communicate(timeout=300)
    said = sorted(line for line in errors.splitlines() if line.startswith("error: "))
    assert process.returncode != 0 and said and "cannot be written" in said[0], errors
    for line in said[1:]:  # none, if torchrun ends the other process before it asks
        assert line.startswith("error: process 1 stops, because process 0 could not make tokenizer mfcc-kmeans: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_state_once_and_ends_all(number: int, root: Path, tmp_path: Path) -> None:
    process = start(root, tmp_path / "home", 2, LONG)
    work = "*.partial/*/train.json"
    until = time.monotonic() + 200
    while not any((tmp_path / "home").glob(work)) and time.monotonic() < until:
        time.sleep(0.2)
    time.sleep(4)
    process.send_signal(number)
    _, errors = process.communicate(timeout=100)
    assert process.returncode != 0
    assert len(list((tmp_path / "home").glob("*.partial/*/state-*"))) == 1, errors
    assert errors.count("interrupted: saved at step") == 1, errors
