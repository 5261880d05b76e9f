"""Malicious checkpoints: each is one error, at once, in bounded memory, and runs no code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from areca.system import NANO

_HARMLESS = {"none", "none, LM", "num_key_value_heads: None", "head_dim: None"}
_HARMLESS |= {"torch_dtype: load", "is_encoder_decoder: True", "generation_config.json of strings"}
"""Not attacked, or by what has no part in answers: all weights are loaded as they are stored."""
_LONGEST_S = 20


@pytest.mark.skipif(sys.platform != "linux", reason="the program bounds its address space as Linux does")
@pytest.mark.parametrize("every", [60, pytest.param(1, marks=pytest.mark.slow)])
def test_every_attack_on_a_checkpoint_is_one_error(tmp_path: Path, every: int) -> None:
    shutil.copytree(NANO, tmp_path / "checkpoint")
    (tmp_path / "mark").mkdir()
    time_s = np.arange(16_000) / 16_000
    soundfile.write(tmp_path / "in.wav", 0.3 * np.sin(600 * np.pi * time_s) * np.sin(6 * np.pi * time_s), 16_000)
    program = [sys.executable, str(Path(__file__).with_name("hostile.py"))]
    places = [str(tmp_path / name) for name in ("checkpoint", "mark", "in.wav")] + [str(every)]
    environment = os.environ | {"ARECA_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*program, *places], input="y\n" * 1000, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) > 250 / every
    assert [row for row in rows if row["name"] in _HARMLESS and row["said"] != "exit 0"] == []
    assert every > 1 or {row["name"] for row in rows} > _HARMLESS
    attacks = [row for row in rows if row["name"] not in _HARMLESS]
    assert [row for row in attacks if not _is_an_error(row["said"])] == []
    assert [row for row in attacks if row["took_s"] > _LONGEST_S] == []
    assert not any((tmp_path / "mark").iterdir()), "code of a checkpoint ran"
    expected = {"checkpoint", "whole", "mark", "in.wav", "elsewhere", "home", "out.wav"}
    assert {path.name for path in tmp_path.iterdir()} <= expected


def _is_an_error(said: str) -> bool:
    """Whether it is one error, with at most a line of what is installed below it."""
    lines = said.strip().splitlines()
    return said.startswith("error: ") and len(lines) <= 2 and len(lines[0]) < 700 and "Traceback" not in said
