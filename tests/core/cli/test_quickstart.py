"""The quickstart without recordings of people, and its page."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from areca import audio
from areca.cli import quickstart
from areca_say.asterisk.packages import ARCHIVES


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the synthetic speech is made, once; no recordings are in it."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def no_recordings(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder of archives and to work in, and little to translate."""
    monkeypatch.setenv("ARECA_HOME", str(home))
    monkeypatch.setenv(ARCHIVES, str(tmp_path))
    monkeypatch.setattr(quickstart, "COUNT", 1)
    monkeypatch.chdir(tmp_path)


def test_without_recordings_it_states_why_and_translates_synthetic_speech(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    quickstart.main()
    said = capsys.readouterr()
    printed, told = said.out.splitlines(), said.err.splitlines()
    assert told[:2] == ["loading the model that areca ships ...", "looking for French speech to translate ..."]
    assert told[-1].startswith("translating: 1/1 ")
    assert printed[1] == f"Input: {quickstart.SOURCES['synthetic']}."
    assert printed[2].startswith(f"human: {tmp_path}: neither ") and f"{ARCHIVES}=DIR" in printed[2]
    folder = tmp_path / "quickstart"
    assert printed[-1] == f"Listen: {folder / 'index.html'}"
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert f"<p>Input: {quickstart.SOURCES['synthetic']}. Output: the model that areca ships.</p>" in page
    assert (page.count("<section"), page.count("<audio")) == (1, 2)
    assert {p.name for p in folder.iterdir()} == {"index.html", "1-english.wav", "1-french.wav"}
    _, manifest, _ = quickstart._recordings()
    [row] = manifest.rows
    assert (row.language, row.target_language, row.split) == ("fr", "en", "test")
    assert f"<td>{row.text}</td>" in page and f"<td>{row.target_text}</td>" in page
    assert any(row.text in line and row.target_text in line for line in printed)
    assert torch.equal(audio.read(folder / "1-french.wav").samples, manifest.audio(row).samples)
    assert audio.read(folder / "1-english.wav").seconds > 0.2


def _no_apt_get(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ARCHIVES)
    monkeypatch.setenv("PATH", str(folder))


def _apt_get_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ARCHIVES)
    (folder / "apt-get").write_text("#!/bin/sh\necho 'E: Unable to locate package' >&2\nexit 100\n")
    (folder / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(_no_apt_get, "this machine has no apt-get"), (_apt_get_that_fails, "E: Unable to locate package")],
)
def test_the_reason_names_the_fault_of_this_machine(
    spoil: Callable[[Path, pytest.MonkeyPatch], None], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(tmp_path, monkeypatch)
    source, manifest, [refusal] = quickstart._recordings()
    assert (source, len(manifest.rows)) == ("synthetic", 1)
    assert refusal.startswith("human: asterisk-core-sounds-")
    for words in (says, "sudo apt-get update", f"{ARCHIVES}=DIR"):
        assert words in refusal


def test_without_any_speech_it_states_what_is_needed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARECA_HOME", str(tmp_path / "new"))
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(SystemExit) as exit:
        quickstart.main()
    said = capsys.readouterr()
    assert (exit.value.code, said.out) == (1, "")
    first, human, synthetic = said.err.splitlines()[-3:]
    assert first == "error: no French speech to translate is available:"
    assert human.startswith("  human: ") and f"{ARCHIVES}=DIR" in human
    assert synthetic == "  synthetic: synthetic speech needs espeak-ng: pip install 'areca[synthetic]'"
    assert not (tmp_path / "quickstart").exists()
