"""Messages stay short for user text of any length."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from areca.cli import common
from areca.cli.check import check
from areca.cli.data import data
from areca.cli.new import new
from areca.cli.validate import validate
from areca.component import Kind
from areca.errors import QUOTED, ArecaError, format_error, quote, shorten, summarise
from areca.manifest import read_manifest
from areca.options import read_mapping
from areca.registry.registry import Registry
from areca.run.config import parse_config, read_config
from areca.run.study import read_study
from areca.tasks import Field, Task

LONG = "x" * 10_000
RUN: dict[str, Any] = {"tokenizer": {"name": "mfcc-kmeans"}, "backbone": {"name": "decoder"}, "tasks": ["asr"]}

SOURCES: dict[str, dict[str, Any]] = {
    "key": {LONG: 1},
    "seed": {"seed": LONG},
    "plugins": {"plugins": [LONG]},
    "plugin file": {"plugins": [f"./{LONG}.py"]},
    "override": {"override": [LONG]},
    "data": {"data": {"name": LONG}},
    "data option": {"data": {"name": "say", LONG: 1}},
    "data value": {"data": {"name": "say", "count": LONG}},
    "data entry": {"data": {"name": "say", "languages": [LONG]}},
    "data text": {"data": LONG, "seed": "x"},
    "data list": {"data": [LONG]},
    "manifest key": {"data": {"manifest": "x", LONG: 1}},
    "tokenizer text": {"tokenizer": LONG},
    "tokenizer name": {"tokenizer": {"name": LONG}},
    "tokenizer option": {"tokenizer": {"name": "mfcc-kmeans", LONG: 1}},
    "tokenizer value": {"tokenizer": {"name": "mfcc-kmeans", "clusters": LONG}},
    "tokenizer list": {"tokenizer": {"name": "mfcc-kmeans", "clusters": list(range(9000))}},
    "role": {"tokenizer": None, "tokenizers": {LONG: {"name": "mfcc-kmeans"}}},
    "odd role": {"tokenizer": None, "tokenizers": {LONG.upper(): {"name": "mfcc-kmeans"}}},
    "tokenizers": {"tokenizer": None, "tokenizers": LONG},
    "need": {"tokenizer": {"name": "dedup", "tokenizer": LONG}},
    "lm.reads": {"lm": {"reads": LONG}},
    "lm.pattern": {"lm": {"pattern": LONG}},
    "lm": {"lm": LONG},
    "task": {"tasks": [LONG]},
    "tasks": {"tasks": LONG},
    "weight": {"tasks": [{"name": "asr", "weight": LONG}]},
    "chain": {"tasks": [{"chain": LONG}]},
    "chain option": {"tasks": [{"chain": ["asr"], LONG: 1}]},
    "task option": {"tasks": [{"name": "asr", LONG: 1}]},
    "training": {"training": LONG},
    "evaluation": {"evaluation": [LONG]},
}


def refused(call: Callable[[], Any]) -> str:
    """Return the message of the error that `call` raises; no line of it is long."""
    with pytest.raises(ArecaError) as raised:
        call()
    message = str(raised.value)
    assert max(map(len, message.splitlines())) < 500, message[:2000]
    return message


@pytest.mark.parametrize("case", SOURCES)
def test_a_runs_yaml(case: str, tmp_path: Path) -> None:
    refused(lambda: parse_config(RUN | SOURCES[case], root=tmp_path))


@pytest.mark.parametrize(
    "pair",
    [LONG, f"{LONG}=1", f"seed={LONG}", f"tokenizer.name={LONG}", f"tokenizer.{LONG}=1", f"training.steps={LONG}",
     f"training.{LONG}=3", f"evaluation.{LONG}=3", f"lm.train={LONG}", f"plugins=[{LONG}]", f"override=[{LONG}]"],
    ids=lambda pair: pair.replace(LONG, "LONG"),
)  # fmt: skip
def test_overrides(pair: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(json.dumps(RUN))
    refused(lambda: read_config(tmp_path / "run.yaml", [pair]))


def test_names_on_the_command_line(tmp_path: Path) -> None:
    registry = Registry.discover()
    refused(lambda: common.find_component(registry, LONG, None))
    refused(lambda: common.find_component(registry, "asr", LONG))
    refused(lambda: registry.find(Kind.TASK, LONG))
    refused(lambda: new("tokenizer", LONG.upper()))
    refused(lambda: new(LONG, "my-codec"))
    refused(lambda: check("asr", [LONG]))
    refused(lambda: data(LONG))
    refused(lambda: data("own.jsonl", [f"{LONG}=1"]))
    refused(lambda: read_mapping("{" + LONG, "decoding"))
    refused(lambda: read_mapping(LONG, "decoding"))
    refused(lambda: Field(LONG))
    refused(lambda: Task(LONG, (), ()))
    refused(lambda: Task("A", (), (Field("source.text"),), format="{" + LONG + "}"))
    (tmp_path / "run.yaml").write_text(json.dumps(RUN))
    refused(lambda: validate(tmp_path / "run.yaml", [f"data={LONG}"]))
    refused(lambda: validate(tmp_path / "run.yaml", [f"data={LONG}.jsonl"]))


@pytest.mark.parametrize(
    "study",
    [{"base": "run.yaml", "axes": {"a": LONG}}, {"base": "run.yaml", "axes": {"a": {LONG: {}, f"{LONG}y": {}}}},
     {"base": "run.yaml", LONG: 1}, {"base": "run.yaml", "axes": {"a": {"b": LONG}}}],
)  # fmt: skip
def test_studies(study: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(json.dumps(RUN))
    (tmp_path / "study.yaml").write_text(json.dumps(study))
    refused(lambda: read_study(tmp_path / "study.yaml"))


ROWS: list[Any] = [
    {"id": "1", LONG: 1},
    {"id": [LONG]},
    {"id": "1", "text": {LONG: LONG}},
    {"id": "1", "split": [LONG]},
    {"id": "1", "offset_s": LONG},
    {"id": "1", "duration_s": -(10**3000)},
    {"id": "1", "audio": LONG},
    {"id": "1", "audio": f"/{LONG}"},
    {"id": "1", "audio": f"a/{LONG}.wav"},
    {"id": "1", "audio": f"../{'y/' * 1500}"},
    {"id": "1", "target_audio": f"{LONG}\0"},
    {"id": "1", "text": "\ud800" + LONG},
    {"id": "1", "extra": {"a": LONG + "\udfff"}},
    {"id": "1", "extra": [LONG]},
    [LONG],
    LONG,
]


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_rows_of_a_manifest(row: Any, tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"id": "0", "text": "fine"}\n' + json.dumps(row) + "\n")
    assert refused(lambda: read_manifest(path)).startswith(f"{path}:2: ")


def test_ids_and_selections(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    row = json.dumps({"id": LONG, "text": "fine", "split": LONG})
    path.write_text(f"{row}\n{row}\n")
    refused(lambda: read_manifest(path))
    path.write_text(f"{row}\n")
    refused(lambda: read_manifest(path).select("train"))
    refused(lambda: read_manifest(path).audio(read_manifest(path).rows[0]))


def test_what_is_quoted_keeps_its_ends() -> None:
    assert quote("short") == "'short'"
    assert (
        len(quote(LONG)) <= QUOTED and quote("a" + LONG + "b").startswith("'ax") and quote(LONG + "b").endswith("xb'")
    )
    assert shorten("short") == "short" and shorten("y" * 500) == "y" * 300 + " ..."


class _Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_error_of_a_library_is_summarised_on_one_line() -> None:
    error = ValueError("\n  first  line\n\n second ")
    assert summarise(error) == "first line"
    assert summarise(error, lines=None) == "first line second"
    assert format_error(error) == "ValueError: first line second"
    assert summarise(ValueError()) == "ValueError" and format_error(ValueError()) == "ValueError: "
    long = summarise(OSError(f"start {LONG} /end/of/the.file"))
    assert len(long) < 410 and long.startswith("start x") and long.endswith("x /end/of/the.file")
    assert summarise(_Unreadable()) == "its message cannot be read (RuntimeError)"
