"""The fuzz harness finds planted faults, and its targets run; ``make fuzz`` runs them at length."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

FAULTS = {
    "none": "accepted",
    "refused": "rejected",
    "raises": r"failed KeyError at planted.py:\d+",
    "mute": r"failed an error without a message: ArecaError at planted.py:\d+",
    "wordy": r"failed a message of 5000 characters: ArecaError at planted.py:\d+",
    "prints": "failed a traceback on the screen",
    "crashes": "failed killed by SIGSEGV",
    "hangs": "failed hangs",
    "eats": r"failed more than 0.25 GB of memory",
    "writes": "failed changes room/outside",
    "strays": f"failed writes to {re.escape(str(ROOT))}/tests/fuzz/stray",
    "leaves": "failed changes room/tmp",
}


def fuzz(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_every_planted_fault_is_found(tmp_path: Path) -> None:
    pytest.importorskip("hypothesis")
    for fault in FAULTS:
        (tmp_path / fault / "files").mkdir(parents=True)
        (tmp_path / fault / "input.json").write_text(json.dumps({"target": "planted", "arguments": fault}))
    done = fuzz("--hang", 8, "--memory", 0.25, "--replay", *(tmp_path / fault for fault in FAULTS))
    assert done.returncode == 1, done.stderr
    for line, (fault, expected) in zip(done.stdout.splitlines(), FAULTS.items(), strict=True):
        assert re.fullmatch(re.escape(f"{tmp_path / fault}: ") + expected, line), line


@pytest.mark.parametrize(
    ("targets", "inputs"),
    [(("audio", "manifest", "yamls"), 10), pytest.param(("cli", "checkpoint"), 4, marks=pytest.mark.slow)],
    ids=("files", "programs"),
)
def test_each_target_runs(targets: tuple[str, ...], inputs: int, tmp_path: Path) -> None:
    pytest.importorskip("hypothesis")
    chosen = [word for target in targets for word in ("--target", target)]
    done = fuzz(*chosen, "--inputs", inputs, "--workers", 1, "--minutes", 4, "--keep", tmp_path)
    summary = re.findall(
        r"^(\w+) +(\d+) inputs +(\d+) rejected +(\d+) accepted +(\d+) failures", done.stdout, re.MULTILINE
    )
    assert [(name, int(total)) for name, total, *_ in summary] == [(name, inputs) for name in targets], done.stderr
    assert all(
        int(rejected) > 0 and int(rejected) + int(accepted) > inputs / 4 for _, _, rejected, accepted, _ in summary
    )
    assert {int(failed) for *_, failed in summary} == {0}, done.stdout
    assert done.returncode == 0


def test_an_input_follows_from_its_seed() -> None:
    pytest.importorskip("hypothesis")
    code = (
        "from hypothesis import strategies as st\nfrom tests.fuzz.inputs import Input, drawer\n"
        "draw = drawer(st.builds(Input, st.dictionaries(st.text(), st.binary()), st.integers()))\n"
        "print([draw(str(n)) for n in range(20)] == [drawer(st.builds(Input, st.dictionaries(st.text(), st.binary()), "
        "st.integers()))(str(n)) for n in range(20)], len({repr(draw(str(n))) for n in range(20)}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split()[0] == "True" and int(done.stdout.split()[1]) > 15, done.stderr
