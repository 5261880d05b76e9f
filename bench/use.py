"""Compare the cold start of `areca run` with a script that only imports torch, torchaudio and a Llama; and its memory.

python -m bench.use
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Figure, alternate, measure_s, show

from areca.artifacts.store import Store
from areca.pipeline.pipeline import Pipeline
from areca.run.config import parse_config
from areca.system import NANO
from areca.testing.corpus import write_corpus

ROUNDS = 5
BARE = "import torch, torchaudio; from transformers import LlamaForCausalLM"
RUN = {
    "name": "bench",
    "data": "corpus/manifest.jsonl",
    "tokenizer": {"name": "usm-v2", "steps": 2},
    "backbone": {"name": "decoder"},
    "vocoder": {"name": "unit-mel", "steps": 2},
    "tasks": ["s2st"],
    "training": {"steps": 2, "batch_tokens": 2048},
}


def checkpoint(directory: Path) -> Path:
    """Return the shipped checkpoint; if there is none, an untrained one of its size."""
    if NANO.is_dir():
        return NANO
    write_corpus(directory / "corpus")
    return Pipeline(parse_config(RUN, root=directory), Store(directory / "store")).checkpoint().directory


def _call(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, env=os.environ)


def _peak_mb(command: list[str]) -> float:
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    return float(subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True).stdout)


def measure(rounds: int = ROUNDS) -> list[Figure]:
    with TemporaryDirectory() as name:
        directory = Path(name)
        write_corpus(directory / "speech")
        options = ["--task", "s2st", "--source", "French", "--target", "English", "-o", str(directory / "out.wav")]
        sound = str(directory / "speech" / "0-fr.wav")
        run = [sys.executable, "-m", "areca", "run", str(checkpoint(directory)), sound, *options]
        bare = [sys.executable, "-c", BARE]
        _call(run)  # loads the files into the disk cache
        _call(bare)
        areca_s, bare_s, ratio = alternate(
            partial(measure_s, lambda: _call(run)), partial(measure_s, lambda: _call(bare)), rounds
        )
        peak = _peak_mb(run)
    return [
        Figure("cold start: areca run over bare imports", ratio, "x", ("<=", 1.5), f"median of {rounds} rounds"),
        Figure("cold start: areca run, speech to speech", areca_s, "s"),
        Figure("cold start: bare imports", bare_s, "s"),
        Figure("peak memory of areca run", peak, "MB", ("<=", 1500)),
    ]


if __name__ == "__main__":
    show(measure())
