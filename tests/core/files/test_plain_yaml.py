"""Untrusted YAML: plain values, or one line that names the file and the line."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from areca.errors import ArecaError, InvalidConfig
from areca.files.yaml_text import parse_yaml, read_pairs, read_yaml
from areca.options import read_mapping
from areca.run.config import read_config
from areca.run.study import read_study

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 3000))
LAUGHS = "a0: laugh\n" + "".join(f"a{i}: " + "'" + f"${{a{i - 1}}}" * 10 + "'\n" for i in range(1, 30))
LISTS = "a0: [1]\n" + "".join(f"a{i}: [" + f"'${{a{i - 1}}}', " * 10 + "]\n" for i in range(1, 30))

HOSTILE = [
    ("a: 1\nb: !!float x", "line 2: expected a value of type float, got 'x'"),
    ("a: !!int ''", "line 1: expected a value of type int, got ''"),
    ("a: !!bool x", "line 1: expected a value of type bool"),
    ("a: !!timestamp x", "line 1: expected a plain value, got the tag 'tag:yaml.org,2002:timestamp'"),
    ("a: !!python/object/apply:os.system [ls]", "line 1: expected a plain value"),
    ("a: !!python/object/apply:pathlib.Path [ls]", "line 1: expected a plain value"),
    ("a: !!binary aGk=", "line 1: expected a plain value"),
    ("a: !!set {x}", "line 1: expected a plain value"),
    ("a: !own x", "line 1: expected a plain value, got the tag '!own'"),
    ("a: " + "[" * 500, "line 1: expected at most .* 50 levels"),
    ("[" * 200_000, "line 1: expected at most .* 50 levels"),
    ("a:\n" + "".join(" " * i + "b:\n" for i in range(1, 501)), "line 50: expected at most .* 50 levels"),
    ("- " * 500 + "a", "50 levels"),
    (BOMB, "line 5: .*after expanding aliases"),
    (MERGES, "after expanding aliases"),
    (CHAIN, "after expanding aliases"),
    ("a: &a [*a]", "line 1: an alias refers to a value that contains it"),
    ("a: &a {b: *a}", "an alias refers to a value that contains it"),
    ("a: *b", "line 1: found undefined alias 'b'"),
    ("a: 1\nb: 2\na: 3", "line 3: the key 'a' appears twice"),
    ("a: {b: 1, b: 2}", "line 1: the key 'b' appears twice"),
    ("? [a]\n: b", "line 1: expected a text key"),
    ("a: .nan", "line 1: expected a finite number, got '.nan'"),
    ("a: -.inf", "line 1: expected a finite number"),
    ("a: 1e999", "line 1: expected a finite number"),
    ("a: " + "9" * 5000, "line 1: expected a value of type int, got '9999"),
    ('a: "\\ud800"', "contains a lone surrogate"),
    ("a: \x00", "unacceptable character"),
    (b"a: \xff", "expected UTF-8 text, byte 3 is invalid"),
    ("a: 'x' # " + "y" * (1 << 20), "expected at most 1,048,576 bytes"),
    ("".join(f"a{i}: [1, 2]\n" for i in range(8000)), "expected at most 20,000 values"),
    ("a: [", "line 1: expected"),
    ("\ta: 1", "line 1: found character"),
    ("- a", "expected a mapping like"),
    ("", "expected a mapping like"),
    ("a: ${b}\nb: ${a}", r"\$\{b\} refers to itself"),
    ("a: x${a}", r"\$\{a\} refers to itself"),
    ("a: ${nope.b}", r"\$\{nope\.b\}: there is no such key"),
    ("a: x${b}\nb: [1]", "expected b to be a single value"),
    (LAUGHS, "references expand to more than"),
    (LISTS, "references expand to more than"),
]


@pytest.mark.parametrize(("text", "says"), HOSTILE, ids=[says[:40] for _, says in HOSTILE])
def test_invalid_yaml_is_one_line_at_once(text: str | bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    start_s = time.process_time()
    with pytest.raises(InvalidConfig, match=says) as caught:
        read_yaml(path)
    assert time.process_time() - start_s < 10
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and len(message.splitlines()) == 1 and len(message) < 500


def test_plain_values_are_read_as_people_mean_them() -> None:
    text = "{a: 1e-3, b: 1., c: .5, d: 1_0, e: -1E5, f: 12e, g: ~, h: yes, i: 2020-01-02, j: 0x10, k: '1', l: [x, 2]}"
    assert parse_yaml(text, "it") == {
        "a": 0.001,
        "b": 1.0,
        "c": 0.5,
        "d": 10,
        "e": -100_000.0,
        "f": "12e",
        "g": None,
        "h": True,
        "i": "2020-01-02",
        "j": 16,
        "k": "1",
        "l": ["x", 2],
    }
    aliases = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}"
    assert parse_yaml(aliases, "it") == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}}


def test_references_within_the_file_are_resolved(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("a: ${b.c}\nb: {c: [1, {d: 2}]}\ne: '${b.c.1.d} of ${f}'\nf: ${g}\ng: 5\n")
    assert read_yaml(path, ["g=7"]) == {"a": [1, {"d": 2}], "b": {"c": [1, {"d": 2}]}, "e": "2 of 7", "f": 7, "g": 7}


@pytest.mark.parametrize(
    "text",
    [
        "a: ${oc.env:SECRET}",
        "a: [{b: 'x ${oc.env:SECRET} y'}]",
        "${oc.env:SECRET}: 1",
        "a: '${${b}:SECRET}'\nb: oc.env",
        "a: '${b}{oc.env:SECRET}'\nb: $",
        r"a: '\${oc.env:SECRET}'",
        "a: ${oc.decode:'1'}",
        "a: ${own:1}",
        "a: ${",
    ],
)
def test_a_recipe_cannot_refer_to_values_outside_the_file(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s3cret")
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(InvalidConfig, match=r"cannot refer to values outside the file; give .* like key=\$X") as caught:
        read_yaml(path)
    assert "s3cret" not in str(caught.value)


def test_overrides_and_options_cannot_contain_references(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("name: x")
    with pytest.raises(InvalidConfig, match="cannot refer to values outside"):
        read_config(path, ["name=${oc.env:HOME}"])
    assert "${" not in os.environ["HOME"]
    with pytest.raises(InvalidConfig, match=r"decoding .*line 1: expected a value of type float"):
        read_mapping("{a: !!float x}", "decoding")
    with pytest.raises(InvalidConfig, match="expected at most"):
        read_mapping("{a: " + "[" * 500, "decoding")


def test_pairs_are_yaml_and_the_last_wins() -> None:
    assert read_pairs(["a.b=1", "a.c=[x, 2e-1]", "d=", "a.b=2"]) == {"a": {"b": 2, "c": ["x", 0.2]}, "d": None}
    for pair in ("a", "=1", "a..b=1", "." * 200 + "=1"):
        with pytest.raises(InvalidConfig, match=r"override .*: expected key=value, like training\.steps=100"):
            read_pairs([pair])
    with pytest.raises(InvalidConfig, match="override 'a=!!int x': line 1"):
        read_pairs(["a=!!int x"])


@pytest.mark.parametrize("text", ["a: !!float x", BOMB, "a: " + "[" * 500])
def test_a_study_is_read_by_the_same_reader(text: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(ArecaError, match=r"study\.yaml: line \d"):
        read_study(tmp_path / "study.yaml")


def test_pipes_and_folders_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    kinds: dict[str, Any] = {"pipe.yaml": "named pipe", "folder.yaml": "folder"}
    for name, kind in kinds.items():
        with pytest.raises(InvalidConfig, match=f"expected a regular file, got a {kind}"):
            read_yaml(tmp_path / name)
    with pytest.raises(InvalidConfig, match="no such file"):
        read_yaml(tmp_path / "nowhere.yaml")
