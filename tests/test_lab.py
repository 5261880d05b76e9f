"""A lab's package, installed by pip: its metric, normaliser, optimizer, pattern, kind and verb in a run and a study."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import ROOT, parts
from tests.environment import Environment, build_wheel

EXAMPLE = ROOT / "examples" / "areca-acme-lab"
COMPONENTS = ("length-ratio", "no-fillers", "muon", "chunks", "unit-entropy")
TINY = {
    "data": "corpus/manifest.jsonl",
    "tokenizers": {
        "speech": {"name": "mfcc-kmeans", "clusters": 16},
        "sound": {"name": "mel-rvq", "levels": 2, "clusters": 8, "frame_rate_hz": 25, "phase_iterations": 2},
    },
    "backbone": parts.tiny_decoder(context=1024),
    "tasks": ["asr", "s2st"],
}
"""The example's run on a tiny corpus."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Return an environment with the lab's package, a corpus, and the example's run and study at tiny size."""
    from areca.testing.corpus import write_corpus

    environment = Environment(tmp_path_factory.mktemp("lab"))
    environment.install(build_wheel(EXAMPLE, tmp_path_factory.mktemp("wheel")))
    write_corpus(environment.directory / "corpus")
    run = yaml.safe_load((EXAMPLE / "run.yaml").read_text()) | TINY
    run["training"] |= {"steps": 4}
    run["evaluation"] |= {"limit": 2, "metrics": ["wer", "length-ratio"]}
    run["evaluation"]["decoding"] = {"name": "greedy", "max_text_ids": 8, "max_audio_frames": 12}
    (environment.directory / "run.yaml").write_text(yaml.safe_dump(run))
    shutil.copy(EXAMPLE / "study.yaml", environment.directory)
    yield environment
    shutil.rmtree(environment.directory)


def test_its_components_and_its_verb_are_listed(lab: Environment) -> None:
    health = lab.names()
    assert {health[f"areca-acme-lab:acme-lab/{name}"] for name in COMPONENTS} == {"ok"}
    shown = " ".join(lab.areca("--help").split())
    assert re.search(r"probe +Encode recordings .* measure the codes \(areca-acme-lab\)", shown)


@pytest.mark.slow
def test_its_components_pass_the_conformance_kit(lab: Environment) -> None:
    done = lab.run("pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)


def test_its_verb_uses_its_own_kind(lab: Environment) -> None:
    shutil.copy(ROOT / "examples" / "in.wav", lab.directory)
    found = re.fullmatch(r"unit-entropy: (\d\.\d{3}) bits per code over 1 recordings\n", lab.areca("probe", "in.wav"))
    assert found and 0 < float(found[1]) < 8  # the shipped model has 256 units


@pytest.mark.slow
def test_a_run_is_trained_and_evaluated_with_its_parts(lab: Environment) -> None:
    lab.areca("train", "run.yaml", "-o", "model")
    layout = json.loads((lab.directory / "model" / "lm" / "vocabulary.json").read_text())
    assert "areca-acme-lab:acme-lab/chunks" in json.dumps(layout)
    lab.areca("evaluate", "run.yaml", "-o", "scores")
    rows = [json.loads(line) for line in (lab.directory / "scores" / "results.jsonl").read_text().splitlines()]
    ratios = [row for row in rows if row["metric"] == "length-ratio"]
    assert ratios and all("acme-lab" in row["signature"] for row in ratios)
    assert {row["normaliser"] for row in rows if row["metric"] == "wer"} == {"areca-acme-lab:acme-lab/no-fillers/1"}
    assert "length ratio" in (lab.directory / "scores" / "report.md").read_text()


@pytest.mark.slow
def test_a_study_compares_its_pattern_with_another(lab: Environment) -> None:
    shown = lab.areca("ablate", "study.yaml", "-o", "study")
    assert "chunks" in shown and "flatten" in shown
    table = (lab.directory / "study" / "study.md").read_text()
    assert "length ratio" in table and "p = " in table


def test_it_disappears_after_removal(lab: Environment) -> None:
    lab.pip("uninstall", "--yes", "areca-acme-lab")
    assert not [name for name in lab.names() if "acme-lab" in name]


def test_the_example_names_what_it_holds() -> None:
    readme = (EXAMPLE / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in COMPONENTS)
    assert Path(EXAMPLE, "src", "areca_acme_lab", "py.typed").is_file()
