"""A third party's metric and normaliser, in one file, score an evaluation, its report and a study."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import ROOT
from tests.core.evaluation.test_evaluation import GREEDY, ToneSystem, manifest, open_tone_judge, scorers  # noqa: F401
from typer.testing import CliRunner

from areca.cli.app import app
from areca.errors import BrokenPlugin, InvalidConfig, MissingDependency, UnknownComponent
from areca.evaluation.comparison import compare_cells
from areca.evaluation.evaluate import evaluate
from areca.evaluation.report import write_report
from areca.evaluation.results import ResultRow, read_results
from areca.evaluation.scoring import open_metrics
from areca.manifest import Manifest
from areca.options import build
from areca.registry.registry import Registry
from areca.run.options import EvaluationConfig
from areca.run.scoring import check_scoring
from areca.testing import CheckedComponent, run
from areca.testing.corpus import write_corpus

PAGE = ROOT / "docs" / "evaluation.md"
PLUGIN = '''
"""Metrics and a normaliser of the user's own."""

from dataclasses import dataclass

from areca import Component, Kind, hookimpl
from areca.specs import MetricSpec, NormaliserSpec

ARECA_PLUGIN_API = 1


@dataclass(frozen=True)
class Config:
    """Options."""

    power: float = 1.0
    """of the ratio"""


def snr(config, needs):
    return MetricSpec("audio", "SNR dB", languages=("en",), sample_rate_hz=4000)


def length(config, needs):
    inputs = ("answer", "question")
    return MetricSpec("audio", "length", higher_is_better=None, inputs=inputs, sample_rate_hz=4000, digits=3)


def voice(config, needs):
    return MetricSpec("audio", "voice", inputs=("answer", "voice"), sample_rate_hz=4000)


def words(config, needs):
    return MetricSpec("text", "words", inputs=("answer", "question"), normalised=False)


def any_language(config, needs):
    return NormaliserSpec()


class Loaded:
    counted = []

    def __init__(self, config):
        self.power = config.power

    @classmethod
    def load(cls, config, needs, files, *, device, dtype):
        return cls(config)


class Snr(Loaded):
    def count(self, examples):
        rows = []
        for e in examples:
            assert e.answer.audio.sample_rate_hz == e.reference.audio.sample_rate_hz == 4000 and e.language == "en"
            assert e.question.audio is None and e.answer.text is None
            noise = e.answer.audio.samples - e.reference.audio.samples
            rows.append([float(e.reference.audio.samples.square().sum()), float(noise.square().sum()) + 1e-3])
        Loaded.counted.append(len(rows))
        return rows

    def score(self, sums):
        import math
        return 10 * math.log10(sums[0] / sums[1])


class Length(Loaded):
    def count(self, examples):
        return [[e.answer.audio.seconds, e.question.audio.seconds] for e in examples]

    def score(self, sums):
        return (sums[0] / sums[1]) ** self.power


class Words(Loaded):
    def count(self, examples):
        return [[float(len(e.answer.text + e.question.text)), 1.0] for e in examples]

    def score(self, sums):
        return sums[0] / sums[1]

    def item_score(self, counts):
        return -counts[0]


class Shout(Loaded):
    def normalise(self, text, language):
        return text.upper()


@hookimpl
def areca_components():
    def row(kind, name, target, spec):
        return Component(kind=kind, name=name, config=Config, spec=f"my_metric:{spec}", target=f"my_metric:{target}",
                         summary="made for a test")

    yield row(Kind.METRIC, "snr", "Snr", "snr")
    yield row(Kind.METRIC, "length", "Length", "length")
    yield row(Kind.METRIC, "voice", "Snr", "voice")
    yield row(Kind.METRIC, "words", "Words", "words")
    yield row(Kind.NORMALISER, "shout", "Shout", "any_language")
'''


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "my_metric.py").write_text(PLUGIN)
    return Registry.discover(["./my_metric.py"], root=folder)


def evaluated(manifest: Manifest, folder: Path, registry: Registry, **options: Any) -> list[ResultRow]:  # noqa: F811
    config = build(EvaluationConfig, {"tasks": ["asr", "s2st"], "batch": 3, **options}, "evaluation")
    of = scorers(config, open_tone_judge(), registry=registry)
    return read_results(evaluate(ToneSystem(), manifest, config, of, folder, identity="tones 1", decoding=GREEDY))


METRICS = ["exact", "snr", {"name": "length", "power": 2}, "voice", "words"]


def test_metrics_of_recordings_and_texts_score_an_evaluation(
    manifest: Manifest,  # noqa: F811
    registry: Registry,
    tmp_path: Path,
) -> None:
    rows = evaluated(manifest, tmp_path, registry, metrics=METRICS, normaliser="shout")
    of_snr = {row.id: row for row in rows if row.metric == "snr"}
    assert len(of_snr) == 16 and {(r.judge, r.field, r.normaliser) for r in of_snr.values()} == {
        (None, "target.audio", "")
    }, "recordings are not read by judges"
    assert of_snr["human/4"].value < 0 < of_snr["human/3"].value, "five was said for four"
    assert {row.value for row in rows if row.metric == "length"} == {1.0}
    assert not [row for row in rows if row.metric == "voice"], "nobody asked for a voice"
    said = {(r.hypothesis, r.value) for r in rows if r.metric == "words" and r.field == "source.text"}
    assert ("un", -4.0) in said, "the item score of answer and question as written"
    exact = [row for row in rows if row.metric == "exact"]
    assert all(r.value == 1.0 for r in exact if r.field == "source.text")
    assert {r.normaliser.partition("@")[0] for r in exact} == {"local:my_metric/shout/1"}
    assert {r.signature for r in rows if r.metric == "length"} == {
        f"local:my_metric/length/1@{registry.find('metric', 'length').code_hash()[:8]}|power:2.0|bs:1000|seed:0"
    }
    assert of_snr["human/4"].component == {"name": "local:my_metric/snr"}

    [scores, _] = write_report(tmp_path, registry)
    assert scores.header[6:] == ("exact %", "words", "SNR dB", "length", "ceiling %", "of ceiling %")
    lines = {line[:5]: line[6:] for line in scores.rows}
    assert lines["s2st", "target.audio", "", "human", "fr"][3] == "1.000 [1.000, 1.000]"
    assert "Neither higher nor lower is better: length." in scores.notes
    [scores, _] = write_report(tmp_path)  # as on a machine without the plugin
    assert "length (mean)" in scores.header
    assert any("no metric is called 'local:my_metric/length'" in note for note in scores.notes)


def test_no_recording_is_scored_twice(manifest: Manifest, registry: Registry, tmp_path: Path) -> None:  # noqa: F811
    counted = registry.find("metric", "snr").target().counted
    counted.clear()
    first = evaluated(manifest, tmp_path, registry, metrics=["snr"])
    assert sum(counted) == 16 and max(counted) == 3, "in batches"
    assert evaluated(manifest, tmp_path, registry, metrics=["snr"]) == first and sum(counted) == 16
    config = {"name": "snr", "power": 3}
    assert len(evaluated(manifest, tmp_path, registry, metrics=[config])) == len(first)
    assert sum(counted) == 32, "another option is another metric"


def test_a_metric_that_counts_nothing_is_named(manifest: Manifest, registry: Registry) -> None:  # noqa: F811
    [metric] = open_metrics(registry, ["words"])
    broken = dataclasses.replace(
        metric, instance=type("Short", (), {"count": lambda self, examples: [[float("nan")]]})()
    )
    with pytest.raises(BrokenPlugin, match=r"metric 'words': expected a row of finite counts for each of 1 examples"):
        broken.count([None])  # type: ignore[list-item]


def test_metrics_of_a_run_are_checked_without_importing_them(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_scoring(registry, {"limit": 3})
    with pytest.raises(UnknownComponent, match="no metric is called 'snrr'; did you mean 'snr'"):
        check_scoring(registry, {"metrics": ["snrr"]})
    with pytest.raises(InvalidConfig, match="no option is called 'powr'; did you mean 'power'"):
        check_scoring(registry, {"metrics": [{"name": "length", "powr": 2}]})
    monkeypatch.setattr("areca.registry.entry.is_installed", lambda module: module != "whisper_normalizer")
    with pytest.raises(MissingDependency, match=r"normaliser whisper needs whisper_normalizer, .*pip install 'areca\["):
        check_scoring(registry, {"normaliser": "whisper"})
    code = (
        "import sys, areca.run.scoring as s; from areca.registry.registry import Registry;"
        "s.check_scoring(Registry.discover(), {'metrics': ['bleu', 'wer'], 'normaliser': 'whisper'});"
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "sacrebleu", "jiwer", "num2words", "whisper_normalizer"} & set(loaded)


def test_the_yaml_of_a_run_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From `plugins: [./their_metric.py]` to the tables of an evaluation and of a study."""
    write_corpus(tmp_path / "corpus")
    (tmp_path / "their_metric.py").write_text(PLUGIN.replace("my_metric:", "their_metric:"))
    recipe = {
        "name": "tiny",
        "plugins": ["./their_metric.py"],
        "data": "corpus/manifest.jsonl",
        "tokenizer": {"name": "mfcc-kmeans", "clusters": 8},
        "backbone": {"name": "decoder", "layers": 1, "width": 16, "feed_forward": 32, "heads": 2, "kv_heads": 2},
        "tasks": ["asr"],
        "training": {"steps": 2, "batch_tokens": 1024, "longest_tokens": 400, "optimizer": "adamw"},
        "evaluation": {"limit": 2, "metrics": ["wer", "words"], "normaliser": "shout"},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(recipe))
    study = {"base": "run.yaml", "axes": {"steps": {"two": None, "three": {"training": {"steps": 3}}}}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    monkeypatch.setenv("ARECA_HOME", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)

    def areca(*arguments: str) -> str:
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        return str(done.stdout)

    areca("ablate", "study.yaml")
    table = (tmp_path / "results" / "study" / "study.md").read_text()
    assert "| WER % | words |" in table and "p = " in table and "of the difference to `two`" in table
    areca(
        "evaluate",
        "run.yaml",
        "-m",
        "words",
        "-m",
        "{name: bleu, tokenize: char}",
        "--normaliser",
        "whisper",
        "-o",
        "out",
    )
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [row["metric"] for row in rows] == ["words"] * 2 + ["bleu"] * 2
    assert rows[-1]["normaliser"].startswith("whisper/1|") and "|tokenize:char|" in rows[-1]["signature"]
    areca("-p", "their_metric.py", "report", "out")
    report = (tmp_path / "out" / "report.md").read_text()
    assert "BLEU (char)" in report and "(mean)" not in report


def test_a_study_marks_what_is_not_significant(manifest: Manifest, registry: Registry, tmp_path: Path) -> None:  # noqa: F811
    rows = [row for row in evaluated(manifest, tmp_path, registry, metrics=["exact", "snr"]) if row.counts]
    wrong = [dataclasses.replace(r, counts=(0.0, 1.0)) if r.metric == "exact" else r for r in rows if r.id != "alone"]
    other = [dataclasses.replace(row, signature="exact/0") if row.metric == "exact" else row for row in rows]
    table = compare_cells({"base": {0: rows}, "wrong": {0: wrong}, "same": {0: rows}, "older": {0: other}}, registry)
    lines = {(line[0], line[2], line[3], line[4]): line[6:] for line in table.rows}
    assert "p" not in lines["asr", "", "human", "base"][0], "the baseline is not compared with itself"
    assert lines["asr", "", "human", "wrong"][0].endswith(", p = 0.001")
    assert lines["asr", "", "human", "same"][0].endswith(", n.s. (p = 1.00)")
    assert lines["s2st", "", "human", "wrong"][1].endswith(", n.s. (p = 1.00)")
    assert lines["asr", "", "human", "older"][0].endswith(")"), "scored in another way, it is shown and not tested"
    notes = "\n".join(table.notes)
    assert "`wrong`: its tests leave out 1 answers" in notes and "`same`" not in notes
    assert "n.s.: not significant, p >= 0.05" in notes and "Koehn 2004" in notes
    alone = compare_cells({"base": {0: rows}}, registry)
    assert "Koehn" not in "".join(alone.notes)


def test_the_metric_of_the_page_on_evaluation_works(tmp_path: Path) -> None:
    [block] = re.findall(r"```python\n(# my_metric\.py\n.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "page_metric.py").write_text(block.replace("my_metric:", "page_metric:"))
    registry = Registry.discover(["./page_metric.py"], root=tmp_path)
    checked = CheckedComponent(registry.find("metric", "length-ratio"), tmp_path, registry=registry)
    outcomes = {outcome.check: outcome.state for outcome in run(checked)}
    assert "fail" not in outcomes.values() and outcomes["direction"] == "pass"


@pytest.mark.parametrize("name", ["exact", "wer", "cer", "bleu", "chrf", "loop", "basic", "spoken-values", "whisper"])
def test_the_components_that_areca_brings_pass_the_kit(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    registry = Registry.discover()
    [entry] = [e for e in registry.entries() if name in e.names and e.component.kind in ("metric", "normaliser")]
    folder = tmp_path_factory.getbasetemp() / "kit"
    folder.mkdir(exist_ok=True)
    outcomes = list(run(CheckedComponent(entry, folder, registry=registry)))
    assert [o for o in outcomes if o.state == "fail"] == []
