"""Every script of bench/ imports, and the quick ones measure something at a tiny size."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.component import Kind
from areca.manifest import read_manifest
from areca.registry.registry import Registry
from areca.testing.corpus import write_corpus
from tests import ROOT

SCRIPTS = sorted(path.stem for path in (ROOT / "bench").glob("*.py") if path.stem != "__main__")


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARECA_HOME", str(tmp_path))
    write_corpus(tmp_path / "corpus")
    return tmp_path / "corpus"


def bench(name: str) -> ModuleType:
    return importlib.import_module(f"bench.{name}")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_imports(name: str) -> None:
    bench(name)


def test_all_that_make_bench_runs_exists() -> None:
    assert set(bench("__main__").SCRIPTS) <= set(SCRIPTS)


def _check(figures: list[Any]) -> None:
    assert figures and all(figure.value > 0 for figure in figures)


def test_generation_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench("generation"), "FRAMES", 2)
    _check(bench("generation").measure(rounds=1))


@pytest.mark.slow
def test_training_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STEPS", "WARM"):
        monkeypatch.setattr(bench("train_step"), name, 1)
    _check(bench("train_step").measure(rounds=1))


@pytest.mark.slow
def test_patterns_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FRAMES", 12), ("UTTERANCES", 2)):
        monkeypatch.setattr(bench("patterns"), name, value)
    _check(bench("patterns").measure(rounds=1))


def test_soundstorm_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench("soundstorm").SIZE, "layers", 1)
    _check(bench("soundstorm").measure(rounds=1, seconds=0.4))


def test_the_gpu_script_measures() -> None:
    gpu = bench("gpu")
    tiny = dataclasses.replace(gpu.TINY, compiled=(False,))  # compiling takes a minute
    losses, answers, *measured = gpu.measure(torch.device("cpu"), (tiny,), steps=1)
    assert (losses.value, answers.value) == (0.0, 1.0) and losses.met and answers.met
    _check(measured)


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("cuda:0 (NVIDIA H100 80GB HBM3)", 989e12),
        ("cuda (NVIDIA H100 PCIe)", 756e12),
        ("cuda (NVIDIA A100-SXM4-40GB)", 312e12),
        ("cuda (NVIDIA L4)", 121e12),
        ("cuda (NVIDIA L40S)", 362e12),
        ("cpu", None),
    ],
)
def test_the_peak_of_a_device_is_found_by_its_name(name: str, peak: float | None) -> None:
    assert bench("gpu").find_peak_flops(name) == peak


def test_tokenization_measures() -> None:
    _check(bench("tokenization").measure(rounds=1, total_s=4.0))


def test_clustering_measures() -> None:
    points = torch.randn(2_000, 4, generator=torch.Generator().manual_seed(0))
    _check(bench("kmeans").measure(points, "noise", 4, rounds=1))


def test_units_are_measured(corpus: Path) -> None:
    data = str(corpus / "manifest.jsonl")
    [subject] = bench("units").open_texts(["{name: mfcc-kmeans, clusters: 4}"], data, 0)
    line = bench("units").build_line(subject, subject.data.rows[:2])
    assert line.startswith("| {name: mfcc-kmeans, clusters: 4} | 25.") and " of 4 |" in line


def test_a_codec_is_measured(corpus: Path) -> None:
    data = read_manifest(corpus / "manifest.jsonl")
    text = "{name: mel-rvq, levels: 1, clusters: 4, phase_iterations: 1}"
    part = bench("described").resolve_text(Registry.discover(), Kind.TOKENIZER, text, "speech")
    row, loader = data.rows[0], PartLoader(Store(), data=data)
    resynthesis = bench("resynthesis").Bench(loader, [row.text], [data.audio(row)], None)
    measured = resynthesis.measure(text, part)
    assert measured.kbps > 0 and measured.compute > 0 and measured.stoi is not None
    assert resynthesis.measure_original().wrong is None
