"""Totals in progress reports, and the times that a dry run predicts."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests import ROOT

from areca.cli import dry_run
from areca.errors import ArecaError
from areca.fitting.sampling import sample_features
from areca.interfaces import Job, report_quota
from areca.lm.model import SpeechLM
from areca.manifest import FileManifest, Manifest, Utterance
from areca.options import build
from areca.pipeline import pace
from areca.pipeline.budget import Memory, estimate_budget
from areca.run.config import parse_config, read_config
from areca.run.options import TrainingConfig
from areca.specs import Stream, TokenizerSpec
from areca.tasks import Field, Task
from areca.testing.corpus import write_corpus
from areca.testing.tiny import tiny_backbone
from areca.training.examples import write_examples
from areca.training.task_rows import TaskRows
from areca.types import Audio, Codes
from areca_unitmel import UnitMelConfig
from areca_unitmel.corpus import read_clips

Told = list[tuple[int, int, str]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def job(directory: Path, told: Told) -> Job:
    def progress(done: int, total: int, message: str = "") -> None:
        told.append((done, total, message))

    spec = TokenizerSpec((Stream("unit", 8, 25.0),), 16_000)
    return Job(directory, 0, torch.device("cpu"), progress, {"tokenizer": spec})


def frames(audios: list[Audio]) -> list[torch.Tensor]:
    return [torch.zeros(a.samples.shape[1] // 640, 4) for a in audios]


def test_frames_to_cluster_are_at_most_those_of_the_corpus(corpus: Manifest, tmp_path: Path) -> None:
    told: Told = []
    made = sample_features(corpus, frames, sample_rate_hz=16_000, frames=200_000, job=job(tmp_path, told))
    assert len(made) < 5_000
    assert told[-1] == (48, 48, "recordings to cluster")  # both sides of 24 rows
    assert {total for _, total, _ in told} == {48}


def test_frames_to_cluster_are_those_wanted_where_the_corpus_has_them(corpus: Manifest, tmp_path: Path) -> None:
    told: Told = []
    assert len(sample_features(corpus, frames, sample_rate_hz=16_000, frames=100, job=job(tmp_path, told))) == 100
    assert told == [(100, 100, "frames to cluster")]


@pytest.mark.parametrize(
    ("speech_s", "last"), [(9e9, (24, 24, "recordings chosen")), (5.0, (5, 5, "seconds of speech chosen"))]
)
def test_seconds_of_a_voice_are_at_most_those_of_the_corpus(
    corpus: Manifest, tmp_path: Path, speech_s: float, last: tuple[int, int, str]
) -> None:
    told: Told = []
    lengths = {row.id: int(25 * corpus.target_audio(row).seconds) for row in corpus.rows}
    codes = {name: Codes((torch.zeros(length, dtype=torch.int64),)) for name, length in lengths.items()}
    clips = read_clips(UnitMelConfig(speech_s=speech_s), corpus, replace(job(tmp_path, told), table=lambda *_: codes))
    assert last in told
    assert told[-1] == (len(clips), len(clips), "recordings read")


def test_the_total_is_the_quota_that_ends_the_pass() -> None:
    told: Told = []
    for seen in (64, 128, 160):  # 160 recordings of 79.5 frames, 200,000 wanted
        report_quota(lambda *t: told.append(t), 79.5 * seen, 200_000, seen, 160, unit="frames", doing="x")
    assert told == [(64, 160, "recordings x"), (128, 160, "recordings x"), (160, 160, "recordings x")]


def test_examples_are_counted_by_the_rows_that_each_task_has(tmp_path: Path) -> None:
    lm = SpeechLM.extend(tiny_backbone(), {"speech": (Stream("unit", 20, 25.0),)})
    rows = tuple(Utterance(id=f"u{i}", audio="x.wav", text="un" if i < 3 else None, language="fr") for i in range(10))
    codes = {("speech", "audio"): {row.id: Codes((torch.tensor([1, 2, 3]),)) for row in rows}}
    asr = Task("ASR", (Field("source.audio"),), (Field("source.text"),))
    tasks = [TaskRows("one", asr, 1.0, codes), TaskRows("two", asr, 1.0, codes)]
    told: Told = []

    def progress(done: int, total: int, message: str = "") -> None:
        told.append((done, total, message))

    write_examples(tmp_path / "x.arrow", lm, FileManifest(rows, tmp_path), tasks, longest=100, progress=progress)
    assert told == [(3, 6, "examples of one"), (6, 6, "examples of two")]


SMALL = {"longest_tokens": 64, "batch_tokens": 512, "steps": 1000}
BACKBONE = {"name": "decoder", "layers": 2, "width": 32, "feed_forward": 64, "heads": 2, "kv_heads": 1}


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
@pytest.mark.parametrize("lm", ["all", "embeddings"])
def test_a_dry_run_times_some_steps_and_says_how(
    optimizer: str, lm: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pace, "_MEASURE_S", 0.5)
    source = {"tokenizer": {"name": "mfcc-kmeans"}, "backbone": BACKBONE, "tasks": ["asr"], "lm": {"train": lm}}
    run = parse_config(source, root=Path.cwd())
    training = build(TrainingConfig, SMALL | {"optimizer": optimizer}, "training")
    start_s = time.perf_counter()
    dry_run.print_budget(run, training)
    assert time.perf_counter() - start_s < 60
    said = capsys.readouterr().out
    found = re.search(
        r"time: about ([\d.e-]+) s a step, (\d+:\d\d:\d\d) for 1,000 steps of at most 512 tokens\. ", said
    )
    assert found, said
    hours, minutes, seconds = map(int, found[2].split(":"))
    assert 3600 * hours + 60 * minutes + seconds == pytest.approx(1000 * float(found[1]), rel=0.02, abs=1)
    assert re.search(r"Measured here \(cpu, \d+ threads\) in [1-5] passes, .* of \d+ x 64 random tokens", said)


def test_the_timing_matches_real_steps() -> None:
    """Twice the tokens a batch take about twice as long; a machine that is busy is no reason to fail."""
    source = {"tokenizer": {"name": "mfcc-kmeans"}, "backbone": BACKBONE, "tasks": ["asr"]}
    run = parse_config(source, root=Path.cwd())
    steps_s = []
    for tokens in (2048, 4096 * 4):
        training = build(TrainingConfig, SMALL | {"batch_tokens": tokens, "micro_batch_tokens": 512}, "training")
        steps_s.append(pace.measure_pace(run, training, estimate_budget(run, training)).step_s)
    assert 2 < steps_s[1] / steps_s[0] < 32


def test_a_model_that_does_not_fit_is_not_built(capsys: pytest.CaptureFixture[str]) -> None:
    source = {"tokenizer": {"name": "mfcc-kmeans"}, "backbone": BACKBONE, "tasks": ["asr"]}
    run = parse_config(source, root=Path.cwd())
    training = build(TrainingConfig, SMALL, "training")
    cost = replace(estimate_budget(run, training), memory=Memory(10**15, 10**15, 10**15))
    with pytest.raises(ArecaError, match=r"it would take 3000000\.0 GB, and cpu has [\d.]+ GB free"):
        pace.measure_pace(run, training, cost)
    assert dry_run._measure_time(run, training, cost, "cpu").startswith(
        "time: not measured: it would take 3000000.0 GB"
    )


def test_a_model_that_is_too_slow_here_is_not_built() -> None:
    """2.5 billion parameters may fit the memory, and a pass of them take minutes."""
    run = read_config(ROOT / "recipes" / "backbones" / "gemma.yaml")
    training = run.training
    cost = replace(estimate_budget(run, training), memory=Memory(1, 1, 1))
    start_s = time.perf_counter()
    with pytest.raises(ArecaError, match=r"too large to be timed on cpu: its first passes would take \d+ s"):
        pace.measure_pace(run, training, cost)
    assert time.perf_counter() - start_s < 10
