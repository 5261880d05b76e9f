"""A study trains and evaluates each cell once, and compares the cells in a table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import ROOT
from tests.scoring import METRICS
from tests.scoring import scored as row_of
from typer.testing import CliRunner

from areca.cli.app import app
from areca.errors import InvalidConfig
from areca.evaluation.comparison import compare_cells, compare_losses
from areca.evaluation.results import ResultRow
from areca.run.study import merge_changes, read_study
from areca.testing.corpus import write_corpus

RECIPES = ROOT / "recipes" / "ablations"
BASE = {
    "name": "tiny",
    "data": "corpus/manifest.jsonl",
    "tokenizer": {"name": "dedup", "tokenizer": {"name": "mfcc-kmeans", "clusters": 16}},
    "backbone": {"name": "decoder", "layers": 1, "width": 16, "feed_forward": 32, "heads": 2, "kv_heads": 2},
    "tasks": ["asr", "mt"],
    "training": {"steps": 20, "batch_tokens": 1024, "longest_tokens": 400, "optimizer": "adamw"},
    "evaluation": {"tasks": ["asr"], "limit": 2},
}
STUDY = {
    "base": "../base.yaml",
    "seeds": [0, 3],
    "all": {"training": {"steps": 2}},
    "axes": {
        "units": {"few": {"tokenizer": {"tokenizer": {"clusters": 8}}}, "many": None},
        "new rows": {"zero": {"lm": {"init": "zero"}}, "mean": {"lm": {"init": "mean"}}},
    },
}


def written(directory: Path, **changes: Any) -> Path:
    (directory / "studies").mkdir(exist_ok=True)
    (directory / "base.yaml").write_text(yaml.safe_dump(BASE))
    path = directory / "studies" / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes, sort_keys=False))
    return path


def test_changes_go_into_a_part_and_another_part_takes_its_place() -> None:
    base = {"tokenizer": {"name": "a", "size": 4, "inner": {"name": "b", "steps": 1}}, "seed": 0}
    assert merge_changes(base, {"tokenizer": {"size": 5, "inner": {"steps": 2}}}) == {
        "tokenizer": {"name": "a", "size": 5, "inner": {"name": "b", "steps": 2}},
        "seed": 0,
    }
    assert merge_changes(base, {"tokenizer": {"inner": {"name": "c"}}})["tokenizer"]["inner"] == {"name": "c"}
    assert merge_changes(base, {"tokenizer": {"name": "d"}})["tokenizer"] == {"name": "d"}
    assert merge_changes(base, {"tokenizer": None})["tokenizer"] is None
    assert base["tokenizer"]["inner"] == {"name": "b", "steps": 1}
    unnamed = merge_changes({"tokenizer": {"size": 4}}, {"tokenizer": {"name": "a"}})
    assert unnamed["tokenizer"] == {"size": 4, "name": "a"}, "two axes may change one part"


def test_cells_are_all_combinations_under_every_seed(tmp_path: Path) -> None:
    cells = read_study(written(tmp_path))
    assert [(cell.label, cell.seed) for cell in cells] == [
        (f"{units}, {rows}", seed) for units in ("few", "many") for rows in ("zero", "mean") for seed in (0, 3)
    ]
    few, many = cells[1].run, cells[-1].run
    assert (few.seed, few.lm.init, few.training.steps) == (3, "zero", 2)
    assert [run.tokenizers["speech"].spec.streams[0].size for run in (few, many)] == [8, 16]
    assert few.data == tmp_path / "corpus" / "manifest.jsonl", "from the base's folder"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": {}}, "at least one axis"),
        ({"seeds": [1, 1]}, "one or more seeds without repetition"),
        ({"base": "none.yaml"}, r"none\.yaml: no such file"),
        ({"axes": {"units": ["few"]}}, r"axes\.units: expected a mapping, got \['few'\]"),
        ({"axes": {"units": {"few": 8}}}, "axes: few: expected a mapping, got 8"),
        ({"axis": {}}, r"no option is called 'axis'; did you mean 'axes'\?"),
        ({"axes": {"units": {"few": None, "many": None}}}, "'few' and 'many' are the same run"),
        ({"axes": {"units": {"a/b": None, "a-b": None}}}, "'a/b' and 'a-b' have the same folder; rename a value"),
        ({"all": {"tokeniser": {}}}, "no option is called 'tokeniser'"),
        ({"axes": {"units": {"few": {"tokenizer": {"tokenizer": {"cluster": 8}}}}}}, "no option is called 'cluster'"),
    ],
)
def test_errors_are_reported_before_any_work(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        read_study(written(tmp_path, **changes))


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda p: p.stem)
def test_the_shipped_studies_are_complete(path: Path) -> None:
    cells = read_study(path)
    assert len({(cell.label, cell.seed) for cell in cells}) == len(cells) >= 4


def scored(hypothesis: str, reference: str, id: str = "1", language: str = "fr") -> list[ResultRow]:
    return [row_of(metric, hypothesis, reference, id=id, text_language=language) for metric in METRICS.values()]


def test_the_table_of_losses_has_a_column_for_each_stream() -> None:
    table = compare_losses(
        {
            "one": {0: {"tts": {"text": 0.5, "speech/0": 2.0}}, 3: {"tts": {"text": 0.25, "speech/0": 3.0}}},
            "other": {0: {"tts": {"text": 1.0}}},
        }
    )
    assert table.header == ("task", "cell", "text", "speech/0")
    assert table.rows == [
        ("tts", "one", "0.375 (0.500 0.250)", "2.500 (2.000 3.000)"),
        ("tts", "other", "1.000", ""),
    ]


def test_the_table_pools_the_seeds_and_shows_each() -> None:
    right, wrong = scored("a b c d", "a b c d"), scored("a b c e", "a b c d", "2")
    table = compare_cells({"one": {0: right + wrong, 1: right + right}, "other": {0: wrong, 1: wrong}})
    lines = [dict(zip(table.header, row, strict=True)) for row in table.rows]
    assert [(line["cell"], line["n"]) for line in lines] == [("one", "4"), ("other", "2")]
    assert lines[0]["exact %"].startswith("75.0 [") and lines[0]["exact %"].endswith("(50.0 100.0)")
    assert lines[0]["WER %"].startswith("6.2 [") and lines[0]["WER %"].endswith("(12.5 0.0)")
    assert lines[1]["BLEU"].split(", p")[0].split(", n.s.")[0].endswith("(59.5 59.5)")


def test_bleu_of_unlike_tokenizers_is_never_pooled() -> None:
    rows = scored("a b c d", "a b c d") + scored("你好世界", "你好世界", "2", "zh")
    [line] = [
        dict(zip(table.header, row, strict=True)) for table in [compare_cells({"one": {0: rows}})] for row in table.rows
    ]
    assert line["BLEU"] == "" and line["n"] == "2"
    assert line["exact %"].startswith("100.0 [") and line["CER %"].startswith("0.0 [")


def test_a_question_that_returns_under_each_seed_counts_once_for_the_interval() -> None:
    half = [row for i in range(100) for row in scored("a" if i % 2 else "b", "a", str(i))]
    once, thrice = (compare_cells({"cell": dict.fromkeys(seeds, half)}).rows[0] for seeds in ((0,), (0, 1, 2)))
    low, high = (float(x) for x in thrice[6].split("[")[1].split("]")[0].split(", "))
    assert high - low == pytest.approx(19.2, abs=2.5)  # 2 * 1.96 * sqrt(0.25 / 100), not / 300
    assert (once[5], thrice[5]) == ("100", "300")


def test_a_study_of_units_and_vectors_lists_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_corpus(tmp_path / "corpus")
    axes = {"read as": {"units": None, "vectors": {"lm": {"read_as": "features"}}}}
    path = written(tmp_path, axes=axes, seeds=[0], all={"tokenizer": {"name": "usm-v1"}})
    monkeypatch.setenv("ARECA_HOME", str(tmp_path / "store"))
    result = CliRunner().invoke(app, ["ablate", str(path), "--dry-run"])
    assert result.exit_code == 0, result.output
    cells = {line.split()[0]: " ".join(line.split()[2:]) for line in result.output.splitlines()}
    fitted = "tokenizer usm-v1, backbone decoder, "
    assert cells["units"] == f"{fitted}lm, checkpoint, evaluation"
    assert cells["vectors"] == f"{fitted}vectors usm-v1 audio, lm, checkpoint, evaluation"


@pytest.mark.slow
def test_a_study_on_the_command_line_reuses_artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_corpus(tmp_path / "corpus")
    axes = {"units": {"few": {"tokenizer": {"tokenizer": {"clusters": 8}}}, "many": None}}
    path = written(tmp_path, axes=axes)

    monkeypatch.setenv("ARECA_HOME", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)

    def areca(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["ablate", str(path), *arguments])
        assert done.exit_code == 0, done.output
        return str(done.stdout)

    assert areca("--dry-run").count("tokenizer mfcc-kmeans, backbone decoder, lm, checkpoint, evaluation") == 4
    areca()
    results = tmp_path / "results" / "study"
    first = {p: p.read_bytes() for p in sorted(results.rglob("results.jsonl"))}
    assert [str(p.parent.relative_to(results)) for p in first] == [
        f"{cell}/seed-{seed}" for cell in ("few", "many") for seed in (0, 3)
    ]
    rows = [json.loads(line) for line in next(iter(first.values())).decode().splitlines()]
    assert {row["task"] for row in rows} == {"asr"}
    table = (results / "study.md").read_text()
    assert table.count("| asr | source.text |") == 4 and "## Faults" in table and "| few | 4 |" in table
    assert re.search(r"## Validation loss.*\| asr \| many \| \d\.\d{3} \(", table, flags=re.DOTALL)
    asked = {p: p.read_bytes() for p in results.rglob("answers.jsonl")}  # with the time that each answer took
    assert areca().count("nothing") == 4
    assert {p: p.read_bytes() for p in asked} == asked
    wider = dict(BASE["evaluation"], limit=3)
    path.write_text(path.read_text().replace("all:", f"all:\n  evaluation: {json.dumps(wider)}"))
    areca()
    assert "| few | 6 |" in (results / "study.md").read_text(), "a larger limit adds to what is there"
    good = path.read_text()
    for edited, message in (
        (good.replace('"limit"', '"limt"'), "evaluation: no option is called 'limt'"),
        (
            good.replace("clusters: 8", "clusters: 9"),
            r"few/seed-0: holds the evaluation of another model",
        ),
    ):
        assert edited != good
        path.write_text(edited)
        done = CliRunner().invoke(app, ["ablate", str(path)])
        assert done.exit_code == 1 and message in done.stderr
