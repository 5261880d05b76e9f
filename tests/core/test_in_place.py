"""A dataset whose recordings stay in a folder or zip archive is built, trained on and evaluated."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.core.test_run import RUN
from typer.testing import CliRunner

from areca import audio
from areca.artifacts.store import Store
from areca.artifacts.tokens import TokenTable
from areca.cli.app import app
from areca.component import Kind
from areca.errors import BrokenPlugin, InvalidAudio
from areca.evaluation.inputs import open_inputs
from areca.interfaces import silent
from areca.manifest import Manifest, read_manifest, write_manifest
from areca.pipeline.pipeline import Pipeline, Wanted
from areca.registry.registry import Registry
from areca.run.config import parse_config
from areca.testing import CheckedComponent, run
from areca.testing.corpus import write_corpus
from areca.types import Audio

PLUGIN = Path(__file__).parents[1] / "in_place" / "areca_in_place.py"
SOURCES = ("folder", "archive.zip")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a folder of recordings and the same recordings in an archive."""
    home = tmp_path_factory.mktemp("home")
    corpus = write_corpus(home / "folder")
    write_manifest(home / "folder" / "list.jsonl", corpus.rows)
    (home / "folder" / "manifest.jsonl").unlink()
    with zipfile.ZipFile(home / "archive.zip", "w") as archive:
        for path in sorted((home / "folder").iterdir()):
            archive.write(path, path.name)
    return home


def pipeline(home: Path, source: str, store: Path, **options: Any) -> Pipeline:
    parts = {"plugins": [str(PLUGIN)], "data": {"name": "in-place", "source": source}}
    return Pipeline(parse_config(RUN | parts | options, root=home), Store(store))


@pytest.mark.parametrize("source", SOURCES)
def test_the_artifact_holds_rows_and_digests_but_no_audio(home: Path, source: str, tmp_path: Path) -> None:
    built = pipeline(home, source, tmp_path)
    data = built.data()
    assert isinstance(data, Manifest) and data.key == built.data_key
    (artifact,) = Store(tmp_path).artifacts()
    assert sorted(artifact.files) == ["digests.json", "rows.jsonl"]
    direct = audio.read(home / "folder" / "3-fr.wav")
    assert torch.equal(data.audio(data.rows[3]).samples, direct.samples)
    assert torch.equal(data.target_audio(data.rows[3]).samples, audio.read(home / "folder" / "3-en.wav").samples)


def test_a_run_is_trained_and_evaluated_from_an_archive(home: Path, tmp_path: Path) -> None:
    built = pipeline(home, "archive.zip", tmp_path / "store", evaluation={"limit": 1, "judges": []})
    checkpoint = built.checkpoint()
    assert {step.state for step in built.steps()} == {"ready"}, "the keys are known before the work"
    opened = open_inputs(built, None, {"tasks": ["asr"]}, plugins=[str(PLUGIN)], device="cpu", stage=silent)
    opened.evaluate(tmp_path / "results", device="cpu", stage=silent)
    assert (tmp_path / "results" / "results.jsonl").is_file()
    as_folder = pipeline(home, "folder", tmp_path / "store")
    assert as_folder.data_key != built.data_key
    weights = [p.tables()[Wanted(TokenTable, "speech", "audio")]["3"].streams[0] for p in (built, as_folder)]
    assert torch.equal(*weights), "the same recordings have the same codes"
    assert checkpoint.directory.is_dir()


@pytest.mark.parametrize("source", SOURCES)
def test_a_changed_recording_is_refused_and_the_next_run_rebuilds(home: Path, source: str, tmp_path: Path) -> None:
    copy = tmp_path / source
    (shutil.copytree if (home / source).is_dir() else shutil.copy)(home / source, copy)  # type: ignore[operator]
    data = pipeline(tmp_path, source, tmp_path / "store").data()
    key = data.key
    changed = audio.read(home / "folder" / "4-fr.wav")
    write(copy, "3-fr.wav", changed)
    with pytest.raises(InvalidAudio, match=rf"row '3': .*{source}/3-fr\.wav: changed since the dataset was built"):
        data.audio(data.rows[3])
    assert torch.equal(data.audio(data.rows[5]).samples, audio.read(home / "folder" / "5-fr.wav").samples)
    rebuilt = pipeline(tmp_path, source, tmp_path / "store").data()
    assert rebuilt.key != key, "the next run rebuilds the dataset"
    assert torch.equal(rebuilt.audio(rebuilt.rows[3]).samples, changed.samples)


def write(source: Path, name: str, sound: Audio) -> None:
    if source.is_dir():
        audio.write(source / name, sound)
        return
    with zipfile.ZipFile(source) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    audio.write(source.with_name("new.wav"), sound)
    with zipfile.ZipFile(source, "w") as archive:
        for member, content in (members | {name: source.with_name("new.wav").read_bytes()}).items():
            archive.writestr(member, content)


def areca(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["-p", str(PLUGIN), "data", "in-place", *arguments])


def test_data_copies_audio_only_when_asked(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARECA_HOME", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    source = f"source={home / 'archive.zip'}"
    shown = areca(source)
    assert shown.exit_code == 0, shown.output
    assert f"audio is left where it is: {home / 'archive.zip'}" in shown.output
    refused = areca(source, "-o", "copy")
    assert refused.exit_code == 1
    assert "copy: not written: in-place leaves its audio where it is" in refused.output
    assert refused.output.rstrip().endswith("areca data in-place ... -o copy --copy")
    assert not os.path.lexists("copy")
    copied = areca(source, "-o", "copy", "--copy")
    assert copied.exit_code == 0, copied.output
    manifest = read_manifest("copy/manifest.jsonl")
    assert [row.text for row in manifest.rows] == [json.loads(line)["text"] for line in lines(home)]
    assert torch.equal(manifest.audio(manifest.rows[7]).samples, audio.read(home / "folder" / "7-fr.wav").samples)


def lines(home: Path) -> list[str]:
    return (home / "folder" / "list.jsonl").read_text().splitlines()


def test_a_manifest_with_another_key_than_its_artifact_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = pipeline(home, "folder", tmp_path)
    target = built.run.data.entry.target()  # type: ignore[union-attr]
    load = target.load

    def wrong(config: Any, needs: Mapping[str, Any], files: Path, **where: Any) -> Any:
        found = load(config, needs, files, **where)
        return type(found)(found.rows, "mine", found.source, found.digests)

    monkeypatch.setattr(target, "load", staticmethod(wrong))
    with pytest.raises(BrokenPlugin, match=r"dataset in-place: its manifest has the key 'mine', expected .* artifact"):
        built.data()


def test_the_conformance_kit_passes(home: Path, tmp_path: Path) -> None:
    registry = Registry.discover([str(PLUGIN)])
    checked = CheckedComponent(
        registry.find(Kind.DATASET, "in-place"), tmp_path, registry=registry, options={"source": str(home / "folder")}
    )
    assert [(o.check, o.message) for o in run(checked) if o.state == "fail"] == []
