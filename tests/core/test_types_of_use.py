"""The types in a user's code, checked by ``mypy --strict``."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from tests import ROOT

USE = """
import torch
import areca

system = areca.load("checkpoint", device="cpu", plugins=["./my_codec.py"])
reveal_type(system)  # areca.system.System
answer = system.run("asr+ast+s2st", audio="in.wav", source="French", target="English", seed=1)
reveal_type(answer)  # areca.generation.requests.Result
answers = system.run("asr", ["a.wav", "b.wav"], source="fr", batch=2, deliver=lambda result: print(result.name))
reveal_type(answers)  # list[areca.generation.requests.Result]
reveal_type(system.run("mt", text="un", source="fr", target="en").translation)  # str | None
reveal_type(system.run("mt", text=["un", "deux"], source="fr", target="en"))  # list[areca.generation.requests.Result]
reveal_type(answer.texts["source.text"])  # str
assert answer.audio is not None
reveal_type(answer.audio.sample_rate_hz)  # int
codes = system.tokenizer.encode([answer.audio])
reveal_type(codes)  # list[areca.types.Codes]
audios = system.vocoder.synthesize(codes, [None], generator=torch.Generator())
reveal_type(audios)  # list[areca.types.Audio]
"""
WRONG = """
import areca

areca.load(devise="cpu")  # call-arg
system = areca.load()
system.run("asr", audio=3)  # call-overload
system.run("asr", audio="in.wav", sorce="French")  # call-overload
system.run("asr", "in.wav", text="un")  # call-overload
system.run("asr", ["in.wav"]).texts  # attr-defined
system.tokenizer.synthesize([])  # attr-defined
print(system.vocoder.synthesize([], []))  # call-arg
"""


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return what mypy prints, under the project's own options (strict), so that `make check` shares its cache."""
    folder = tmp_path_factory.mktemp("use")
    for name, code in {"use.py": USE, "wrong.py": WRONG}.items():
        (folder / name).write_text(code)
    command = (sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", *map(str, sorted(folder.glob("*.py"))))
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout.splitlines()


def found(lines: list[str], file: str, pattern: str) -> list[tuple[int, str]]:
    """Return number and match of the lines of `file` in which mypy reports `pattern`."""
    matches = (re.search(rf"{file}:(\d+): {pattern}", line) for line in lines)
    return list(dict.fromkeys((int(match[1]), match[2].replace("builtins.", "")) for match in matches if match))


def expected(code: str) -> list[tuple[int, str]]:
    """Return number and comment of the lines of `code` that have one."""
    rows = [(number, line.partition("  # ")[2]) for number, line in enumerate(code.splitlines(), start=1)]
    return [(number, comment) for number, comment in rows if comment]


def test_each_step_of_a_use_has_its_type(lines: list[str]) -> None:
    assert found(lines, "use.py", 'note: Revealed type is "(.*)"') == expected(USE)
    assert found(lines, "use.py", "error: (.*)") == []


def test_a_wrong_use_is_an_error(lines: list[str]) -> None:
    assert found(lines, "wrong.py", r"error: .*\[(.*)\]") == expected(WRONG)
