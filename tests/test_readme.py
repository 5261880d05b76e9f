"""The commands in the README and in the pages for new users work as written."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

import areca.interfaces
from areca import audio
from areca.cli.app import app
from areca.generation.decoding import DecodingMethod
from areca.interfaces import (
    Decoder,
    Featured,
    Judge,
    Metric,
    Normaliser,
    Optimizer,
    Quantized,
    Schedule,
    SpeechSession,
    StreamingDecoder,
    StreamingVocoder,
    Tokenizer,
    Vocoder,
)
from areca.manifest import Utterance, read_manifest
from areca.specs import KINDS, Order
from areca.tasks import Task
from areca.testing import checks, fitting
from tests import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PLUGINS = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
DATA = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
PROTOCOLS = (
    *(Tokenizer, Featured, Quantized, Decoder, StreamingDecoder, Vocoder, StreamingVocoder, SpeechSession, Judge),
    *(Metric, Normaliser, Optimizer, Schedule),
)


def test_the_commands_run_the_shipped_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = re.findall(r"^areca run .*$", README, flags=re.MULTILINE)
    assert len(commands) == 2
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for command in commands:
        arguments = shlex.split(command, comments=True)
        with pytest.raises((SystemExit, typer.Exit)) as ended:
            app(arguments[1:])
        assert getattr(ended.value, "code", 0) in (0, None)
    printed = capsys.readouterr().out
    assert "four hundred twenty three" in printed
    assert audio.read(tmp_path / "out.wav").seconds > 0.3
    last = printed[printed.index("[\n") if "[\n" in printed else printed.rindex('{"') :]
    assert "quatre cent vingt trois" in json.dumps(json.loads(last), ensure_ascii=False)


def test_the_sample_has_its_origin_stated() -> None:
    heard = audio.read(ROOT / "examples" / "in.wav")
    assert (heard.sample_rate_hz, heard.channels) == (16_000, 1) and heard.seconds == pytest.approx(1.23, abs=0.01)
    for page in ("examples/README.md", "NOTICE"):
        assert "in.wav" in (ROOT / page).read_text(encoding="utf-8")


def test_the_readme_names_the_hugging_face_folder() -> None:
    assert 'AutoModelForCausalLM.from_pretrained("my-model/lm")' in README


def test_every_kind_has_its_methods_in_the_page_on_plugins() -> None:
    section = PLUGINS[PLUGINS.index("## What each kind does") : PLUGINS.index("## A kind of your own")]
    for kind in KINDS:
        fields = inspect.signature(kind.spec).parameters
        shown = ", ".join(n if p.default is p.empty else f"{n}={p.default}" for n, p in fields.items())
        assert f"| `{kind.name}` | `{kind.spec.__name__}({shown})` |" in section
    declared = [c for c in vars(areca.interfaces).values() if getattr(c, "_is_protocol", False)]
    names = {p.__name__ for p in declared if p.__module__ == "areca.interfaces"}
    assert names == {p.__name__ for p in PROTOCOLS}
    written = _methods(section)
    for protocol in (*PROTOCOLS, Order, DecodingMethod):
        for name, function in vars(protocol).items():
            if not name.startswith("_") and inspect.isfunction(function):
                assert list(inspect.signature(function).parameters) in written[name], name
    for name in ("header", "prompt", "target", "parse", "fields_missing"):
        parameters = list(inspect.signature(getattr(Task, name)).parameters)[1:]
        assert f"`{name}({', '.join(parameters)})`" in section


def _methods(section: str) -> dict[str, list[list[str]]]:
    """Return the parameters of the methods in the section's first block of Python, by name: a list for each class."""
    block = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)[0]
    functions = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.FunctionDef)]
    methods: dict[str, list[list[str]]] = {}
    for f in functions:
        methods.setdefault(f.name, []).append([a.arg for a in (*f.args.args, *f.args.kwonlyargs)])
    return methods


@pytest.mark.parametrize("row", ["every component", "with tag `fit`", *(str(kind.name) for kind in KINDS)])
def test_the_page_on_plugins_names_every_check(row: str) -> None:
    kinds = {str(kind.name): kind for kind in KINDS}
    modules = {"every component": checks, "with tag `fit`": fitting}
    module = modules.get(row) or importlib.import_module(kinds[row].checks or "")
    section = PLUGINS[PLUGINS.index("## The conformance kit") :]
    [line] = [line for line in section.splitlines() if line.startswith(f"| {row} ")]
    found = [f for name, f in vars(module).items() if name.startswith("check_")]
    own = {f.__name__.removeprefix("check_") for f in found if f.__module__ == module.__name__}
    named = re.sub(r"\([^)]*\)", "", line.split("|")[2])  # without the explanations
    assert set(re.findall(r"`(\w+)`", named)) == own


def test_the_page_on_data_names_every_column() -> None:
    first = {name for row in re.findall(r"^\| (`[a-z_`, ]+`) \|", DATA, flags=re.MULTILINE) for name in row.split(", ")}
    assert {name.strip("`") for name in first} >= set(Utterance.__dataclass_fields__)


def test_the_script_of_the_page_on_data_makes_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.tsv").write_text("client_id\tpath\tsentence\nx\ta.wav\tquatre cent vingt-trois\n")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").write_bytes((ROOT / "examples" / "in.wav").read_bytes())
    scope: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", DATA, flags=re.DOTALL)[0], scope)
    [row] = read_manifest(tmp_path / "own.jsonl").rows
    assert (row.text, row.language) == ("quatre cent vingt-trois", "fr")
    [example] = re.findall(r"```json\n(.*?)```", DATA, flags=re.DOTALL)
    assert Utterance(**json.loads(example)).id == "a1"


def test_show_names_the_tags_that_a_need_must_have(capsys: pytest.CaptureFixture[str]) -> None:
    from areca.cli.show import show

    show("codec-decoder")
    assert "needs     tokenizer: a tokenizer with the tag decode: its role, or {name: ...}" in capsys.readouterr().out
