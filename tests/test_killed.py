"""A whole run from the command line, killed with -9 at any moment and started again, ends as an undisturbed one."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from areca.checkpoint import PROVENANCE
from areca.config import read_config
from areca.pipeline import Pipeline
from areca.store import META, PARTIAL, WORK, Store
from areca.training.learning import SUMMARY

KILLS = 20
RUN = {
    "name": "killed",
    "seed": 5,
    "data": {
        "name": "say",
        "languages": ["en", "fr"],
        "sources": ["synthetic"],
        "target_source": "synthetic",
        "count": 150,
        "validation_count": 4,
        "test_count": 4,
        "workers": 1,
    },
    "tokenizer": {
        "name": "dedup",
        "tokenizer": {
            "name": "usm-v2",
            "width": 32,
            "layers": 2,
            "clusters": 16,
            "steps": 60,
            "batch_s": 20.0,
            "dropout": 0.1,
            "checkpoint_steps": 5,
        },
    },
    "backbone": {
        "name": "decoder",
        "layers": 1,
        "width": 32,
        "feed_forward": 64,
        "heads": 2,
        "kv_heads": 2,
        "vocabulary_size": 280,
        "attention_dropout": 0.1,
    },
    "vocoder": {"name": "unit-mel", "width": 32, "layers": 2, "steps": 60, "batch": 4, "checkpoint_steps": 5},
    "tasks": ["asr", {"chain": ["asr", "ast", "s2st"], "weight": 2.0}],
    "training": {
        "steps": 60,
        "batch_tokens": 1024,
        "longest_tokens": 500,
        "optimizer": "adamw",
        "learning_rate": 1e-2,
        "save_every_steps": 5,
    },
}


class Run:
    """`areca train` of one run into one store.

    Args:
        path: the run's YAML.
        home: the store.
    """

    def __init__(self, path: Path, home: Path) -> None:
        self.path, self.home = path, home

    def start(self) -> subprocess.Popen[str]:
        """Start it; standard error goes to a file, so that a full pipe stops nothing."""
        env = os.environ | {"ARECA_HOME": str(self.home), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "areca", "train", str(self.path)]
        self.home.mkdir(exist_ok=True)
        with (self.home / "errors.txt").open("w") as errors:
            return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=errors, text=True)

    def finished(self, within_s: float | None = None) -> bool:
        """Start it and let it end by itself; return False if it had to be killed after `within_s` seconds."""
        process = self.start()
        try:
            code = process.wait(within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
        assert code == 0, (self.home / "errors.txt").read_text()
        return True

    def stage(self) -> str:
        """Return what was being made when it was killed, judged by what the store holds."""
        steps = Pipeline(read_config(self.path), Store(self.home)).steps()
        step = next((step for step in steps if step.state != "there"), steps[-1])  # all there: it was about to end
        if step.label != "lm" or step.state != "begun":
            return step.label if step.state == "begun" else f"before {step.label}"
        partial = self.home / (step.key + PARTIAL)
        return "lm" if any((partial / name).is_file() for name in (f"{WORK}/train.json", SUMMARY)) else "tokens"

    def files(self) -> dict[str, str]:
        """Return the hash of each file of the checkpoint, but for when it was made and from which commit of areca."""
        made = Pipeline(read_config(self.path), Store(self.home)).made()
        files = {path.relative_to(made).as_posix(): path for path in made.rglob("*") if path.is_file()}
        return {name: _hash(path) for name, path in files.items() if path.name != META}


def _hash(path: Path) -> str:
    data = path.read_bytes()
    if path.name == PROVENANCE:  # a checkout's commit may be another before the last run is through
        data = re.sub(rb'"commit": .*', b"", data)
    return hashlib.sha256(data).hexdigest()


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_files(tmp_path: Path) -> None:
    """Killed 20 times, from before its first step to its last file; where it gets to its end, another store begins."""
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(RUN))
    undisturbed, start_s = Run(path, tmp_path / "undisturbed"), time.monotonic()
    assert undisturbed.finished()
    most_s, expected = time.monotonic() - start_s, undisturbed.files()
    assert {
        "lm/model.safetensors",
        "parts/speech.tokenizer/encoder.safetensors",
        "parts/vocoder/voice.safetensors",
    } <= set(expected)

    rng, stages, stores = random.Random(0), Counter[str](), itertools.count()
    killed = Run(path, tmp_path / f"killed-{next(stores)}")
    while stages.total() < KILLS:
        # A start is half imports, so that some kills come before any work; later ones leave some done. The bound
        # follows the machine, which may be faster or slower by now: most starts are to be killed, and not all.
        if killed.finished(rng.uniform(0.2, 1.0) * most_s):
            assert killed.files() == expected, (killed.home.name, stages)
            killed, most_s = Run(path, tmp_path / f"killed-{next(stores)}"), 0.7 * most_s
        else:
            stages[killed.stage()] += 1
            most_s *= 1.05
    assert killed.finished()
    assert killed.files() == expected, (killed.home.name, stages)
    assert len(stages.keys() & {"data say", "tokenizer usm-v2", "vocoder unit-mel", "tokens", "lm"}) >= 3, stages
