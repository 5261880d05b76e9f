"""Ctrl-C and SIGTERM: a training saves its state, exits with the signal's code and resumes to the same result."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests import parts

from areca.artifact import PARTIAL, WORK
from areca.artifacts.store import Store
from areca.fitting.interrupt import Interrupted, defer_signals, raise_on_signal
from areca.fitting.unfinished import newest_state
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.pipeline.pipeline import Pipeline
from areca.run.config import read_config
from areca.testing.corpus import write_corpus
from areca_decoder import DecoderConfig
from areca_decoder.model import Decoder
from areca_units.masked_units import UsmV1
from areca_units.options import UsmV1Config

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
NEVER, EVERY = 10_000, 10
RUN: dict[str, Any] = {
    "name": "interrupted",
    "data": "corpus/manifest.jsonl",
    "tokenizer": {"name": "mfcc-kmeans", "clusters": 16},
    "backbone": parts.tiny_decoder(attention_dropout=0.1),
    "tasks": ["asr"],
    "training": {
        "steps": 60, "batch_tokens": 512, "longest_tokens": 400, "optimizer": "adamw", "save_every_steps": EVERY,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("run") / "corpus")


def start(*command: str, start_new_session: bool = False, **variables: str) -> subprocess.Popen[str]:
    """Start a program that hears Ctrl-C, as a shell without job control would not let it."""
    return subprocess.Popen(
        [sys.executable, *command],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=start_new_session,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.fixture(scope="module")
def begun(corpus: Manifest) -> tuple[Path, Path, str]:
    """Return a run's YAML, a store with all but its LM, and the fingerprint of the LM that it is to have."""
    path, home = corpus.root.parent / "run.yaml", corpus.root.parent / "home"
    path.write_text(yaml.safe_dump(RUN))
    pipeline = Pipeline(read_config(path), Store(home))
    pipeline.fit()
    pipeline.tables()
    shutil.copytree(home, other := corpus.root.parent / "undisturbed")
    return path, home, Pipeline(read_config(path), Store(other)).lm().fingerprint


@pytest.mark.parametrize(
    ("number", "code"), [SIGNALS[0], pytest.param(*SIGNALS[1], marks=pytest.mark.slow)], ids=["SIGINT", "SIGTERM"]
)
def test_training_saves_at_the_step_that_it_reports_and_ends_the_same(
    number: signal.Signals, code: int, begun: tuple[Path, Path, str], tmp_path: Path
) -> None:
    path, start_home, expected = begun
    shutil.copytree(start_home, home := tmp_path / "home")
    pipeline = Pipeline(read_config(path), Store(home))
    key = next(step.key for step in pipeline.steps() if step.label == "lm")
    process = start("-m", "areca", "train", str(path), ARECA_HOME=str(home), OMP_NUM_THREADS="1")
    work = home / (key + PARTIAL) / WORK
    while not (work / f"state-{EVERY}").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert "Ctrl-C is safe: the training state is saved" in out
    saved = re.search(r"interrupted: saved at step (\d+); the same command resumes from there\n$", err)
    assert saved is not None and "Traceback" not in err, err
    assert EVERY <= int(saved[1]) < RUN["training"]["steps"]
    assert newest_state(work) == (int(saved[1]), work / f"state-{saved[1]}")
    assert pipeline.lm().fingerprint == expected


FITS: dict[str, tuple[Any, Any]] = {
    "encoder": (
        UsmV1,
        UsmV1Config(width=16, layers=2, layer=1, heads=2, steps=6, batch_s=12.0, clusters=8, checkpoint_steps=NEVER),
    ),
    "backbone": (
        Decoder,
        DecoderConfig(
            layers=1, width=16, feed_forward=32, heads=2, kv_heads=2, vocabulary_size=280, min_count=1,
            pretrain_steps=6, pretrain_batch=2, pretrain_length=16, save_every=NEVER,
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize("name", FITS)
def test_a_fit_saves_at_the_step_that_it_reports_and_ends_the_same(
    name: str, number: signal.Signals, code: int, corpus: Manifest, tmp_path: Path
) -> None:
    target, config = FITS[name]

    def job(folder: str, step: int | None = None) -> Job:
        def progress(done: int, total: int, message: str = "") -> None:
            if total == 6 and done == step:
                os.kill(os.getpid(), number)

        (tmp_path / folder).mkdir(exist_ok=True)
        return Job(tmp_path / folder, 3, torch.device("cpu"), progress)

    before = [signal.getsignal(s) for s, _ in SIGNALS]
    target.fit(config, {}, corpus, job("straight"))
    with pytest.raises(Interrupted, match=r"^saved at step 4$") as caught:
        target.fit(config, {}, corpus, job("stopped", 4))
    assert caught.value.code == code
    assert [signal.getsignal(s) for s, _ in SIGNALS] == before
    steps: list[int] = []
    given = job("stopped")
    target.fit(config, {}, corpus, Job(given.directory, 3, given.device, lambda done, total, _="": steps.append(done)))
    assert 4 not in steps[-3:] and steps[-1] != 4
    straight, stopped = (sorted(p for p in (tmp_path / f).iterdir() if p.is_file()) for f in ("straight", "stopped"))
    assert [p.name for p in straight] == [p.name for p in stopped]
    assert [p.read_bytes() for p in straight] == [p.read_bytes() for p in stopped]


WAITING = """
import sys, time
from areca.fitting.interrupt import defer_signals, raise_on_signal
with raise_on_signal():
    with {how}:
        print("ready", flush=True)
        for _ in range(600):
            time.sleep(0.1)
"""


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_second_signal_stops_at_once(number: signal.Signals, code: int) -> None:
    process = start("-c", WAITING.format(how="defer_signals()"))
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(number)
    process.send_signal(number)  # some launchers send one to the process and one to its group
    time.sleep(1.0)
    assert process.poll() is None, "it waits for the end of the step"
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == code
    assert err.split("\n") == ["", "stopping at the end of this step, to save it; a second signal stops at once", "",
                               "stopped at once", ""]  # fmt: skip


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_other_verbs_stop_at_the_first_signal(number: signal.Signals, code: int) -> None:
    slow = (
        "import time, areca.cli.list as verb\ndef slow(kind=None):\n    print('ready', flush=True)\n    time.sleep(60)"
    )
    process = start(
        "-c", f"{slow}\nverb.list_ = slow\nimport sys\nsys.argv[1:] = ['list']\nfrom areca.cli import main\nmain()"
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == code
    assert err == "\ninterrupted: finished work is kept; the same command resumes from there\n"


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_stops_a_dataset_without_a_traceback(tmp_path: Path) -> None:
    """A terminal sends the signal to all processes of the group."""
    options = ["languages=[en,fr]", "sources=[synthetic]", "target_source=synthetic", "count=1000", "workers=2"]
    command = ["-m", "areca", "data", "say", *options]
    process = start(*command, ARECA_HOME=str(tmp_path), start_new_session=True)
    while not list(tmp_path.glob("*.partial/work.partial/*.json")) and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith("\ninterrupted: finished work is kept; the same command resumes from there\n")
    assert "Traceback" not in err


def test_ignored_signals_stay_ignored_and_threads_install_no_handler() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with raise_on_signal(), defer_signals() as pending:
            os.kill(os.getpid(), signal.SIGINT)
            assert not pending
        found: list[Any] = []

        def elsewhere() -> None:
            with raise_on_signal():
                found.append(signal.getsignal(signal.SIGTERM))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert found == [signal.getsignal(signal.SIGTERM)]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_signal_that_the_loop_did_not_check_is_raised_at_the_end() -> None:
    with pytest.raises(Interrupted) as caught, defer_signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.code == 143
