from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from areca.audio import write
from areca.errors import InvalidArtifact, InvalidAudio, InvalidManifest
from areca.manifest import Manifest, Utterance, write_manifest
from areca.store import Store, seal
from areca.types import Audio

RATE = 8_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, seconds in (("a.wav", 1.0), ("b.flac", 2.0)):
        t = torch.arange(round(seconds * RATE)) / RATE
        write(folder / name, Audio(0.3 * torch.sin(2 * math.pi * 200 * t)[None], RATE))
    return folder


def lines(root: Path, *rows: Any) -> Path:
    path = root / "manifest.jsonl"
    texts = [row if isinstance(row, (str, bytes)) else json.dumps(row) for row in rows]
    path.write_bytes(b"".join((t if isinstance(t, bytes) else t.encode()) + b"\n" for t in texts))
    return path


def test_rows_survive_writing_and_reading(root: Path) -> None:
    rows = [
        Utterance(id="1", audio="a.wav", text="été à la mer", language="fr", speaker="x", source="human"),
        Utterance(
            id="2", audio="b.flac", offset_s=0.5, duration_s=1.25, split="test", target_audio="a.wav",
            target_text="summer", target_language="en", extra={"kind": "number", "deep": {"n": [1, 2.5, None]}},
        ),
        Utterance(id="3", text="only text", language="en"),
    ]  # fmt: skip
    write_manifest(root / "manifest.jsonl", rows)
    manifest = Manifest.read(root / "manifest.jsonl")
    assert list(manifest.rows) == rows
    assert manifest.root == root
    assert manifest.skipped == ()
    assert json.loads((root / "manifest.jsonl").read_text().splitlines()[2]) == {
        "id": "3", "text": "only text", "language": "en",
    }  # fmt: skip
    assert sorted(p.name for p in root.iterdir()) == ["a.wav", "b.flac", "manifest.jsonl"]


def test_audio_of_a_row(root: Path) -> None:
    rows = [
        Utterance(id="1", audio="b.flac", offset_s=0.5, duration_s=1.0, target_audio="a.wav"),
        Utterance(id="2", text="none"),
    ]
    write_manifest(root / "manifest.jsonl", rows)
    manifest = Manifest.read(root / "manifest.jsonl")
    whole = soundfile.read(root / "b.flac", dtype="float32")[0]
    assert manifest.audio(rows[0]).samples[0].tolist() == whole[RATE // 2 : 3 * RATE // 2].tolist()
    assert manifest.target_audio(rows[0]).seconds == 1.0
    with pytest.raises(InvalidManifest, match="row '2' has no audio"):
        manifest.audio(rows[1])
    with pytest.raises(InvalidManifest, match="row '2' has no target_audio"):
        manifest.target_audio(rows[1])
    (root / "a.wav").unlink()
    with pytest.raises(InvalidAudio, match=r"row '1': .*a\.wav: no such file"):
        manifest.target_audio(rows[0])


def damage(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        (root / name).write_bytes(change((root / name).read_bytes()))

    return apply


def nan(root: Path) -> None:
    soundfile.write(root / "a.wav", np.array([0.0, math.nan] * 50, dtype=np.float32), RATE, subtype="FLOAT")


def link_out(root: Path) -> None:
    (root.parent / "secret.wav").write_bytes((root / "a.wav").read_bytes())
    (root / "link.wav").symlink_to(root.parent / "secret.wav")


def link_folder_out(root: Path) -> None:
    (root.parent / "elsewhere").mkdir()
    (root.parent / "elsewhere" / "a.wav").write_bytes((root / "a.wav").read_bytes())
    (root / "folder").symlink_to(root.parent / "elsewhere")


def two_hours(root: Path) -> None:
    with soundfile.SoundFile(root / "long.flac", "w", 1000, 1) as file:
        for _ in range(72):
            file.write(np.zeros(100_000, dtype=np.float32))


def nothing(root: Path) -> None:
    pass


BAD: list[tuple[Any, Callable[[Path], None], str]] = [
    ({"id": "x", "audio": "no.wav"}, nothing, "audio: .*no.wav: no such file"),
    ({"id": "x", "target_audio": "no.wav"}, nothing, "target_audio: .*no.wav: no such file"),
    ({"id": "x", "audio": "a.wav"}, damage("a.wav", lambda b: b[: len(b) // 2]), "a.wav: truncated"),
    ({"id": "x", "audio": "b.flac"}, damage("b.flac", lambda b: b[: len(b) // 2]), "b.flac: truncated or damaged"),
    ({"id": "x", "audio": "b.flac"}, damage("b.flac", lambda b: b[:-200] + bytes(200)), "b.flac: truncated or damaged"),
    ({"id": "x", "audio": "a.wav"}, damage("a.wav", lambda b: b""), "a.wav: the file is empty"),
    ({"id": "x", "audio": "a.wav"}, damage("a.wav", lambda b: b"plain text " * 99), "a.wav: not audio"),
    ({"id": "x", "audio": "a.wav"}, nan, "a.wav: has NaN"),
    (
        {"id": "x", "audio": "long.flac"},
        two_hours,
        "lasts 7200 s, more than 600 s; cut it with offset_s and duration_s",
    ),
    ({"id": "x", "audio": "long.flac", "offset_s": 1, "duration_s": 700}, two_hours, "lasts 700 s, more than 600"),
    ({"id": "ok", "audio": "a.wav"}, nothing, "id 'ok' is taken by line 1"),
    ({"id": "x", "audio": "../secret.wav"}, link_out, r"'\.\./secret.wav' leads out of the manifest's folder"),
    ({"id": "x", "audio": "q/../../secret.wav"}, link_out, "leads out of the manifest's folder"),
    ({"id": "x", "audio": "link.wav"}, link_out, "'link.wav' leads out of the manifest's folder"),
    ({"id": "x", "audio": "folder/a.wav"}, link_folder_out, "'folder/a.wav' leads out of the manifest's folder"),
    ({"id": "x", "audio": "/etc/passwd"}, nothing, "'/etc/passwd': expected one relative to"),
    ({"id": "x", "audio": "."}, nothing, "leads out of the manifest's folder|expected a file"),
    ({"id": "x", "audio": "a\0.wav"}, nothing, "expected one relative to"),
    ({"id": "x", "audoi": "a.wav"}, nothing, "unknown column 'audoi'; did you mean 'audio'"),
    ({"id": "x", "emotion": "joy"}, nothing, "unknown column 'emotion'\n.*goes into extra"),
    ({"audio": "a.wav"}, nothing, "column 'id' is missing"),
    ({"id": 7}, nothing, "column 'id' is 7, expected text"),
    ({"id": ""}, nothing, "column 'id' is empty"),
    ({"id": "x", "text": "  "}, nothing, "column 'text' is empty"),
    ({"id": "x", "text": ["a"]}, nothing, r"column 'text' is \['a'\], expected text or null"),
    ({"id": "x", "split": None}, nothing, "column 'split' is None, expected text"),
    ({"id": "x", "extra": []}, nothing, "column 'extra' is .*expected an object"),
    ({"id": "x", "offset_s": "1"}, nothing, "column 'offset_s' is '1', expected a number of seconds"),
    ({"id": "x", "offset_s": True}, nothing, "column 'offset_s' is True, expected a number of seconds"),
    ({"id": "x", "audio": "a.wav", "offset_s": -1}, nothing, "offset_s is -1, expected 0 or more"),
    ({"id": "x", "audio": "a.wav", "offset_s": 1.5}, nothing, "offset_s is 1.5, but the audio lasts 1.000 s"),
    ({"id": "x", "audio": "a.wav", "duration_s": 0}, nothing, "duration_s is 0, expected more than 0"),
    ({"id": "x", "audio": "a.wav", "offset_s": 0.5, "duration_s": 0.6}, nothing, "duration_s is 1.1, but the audio"),
    ('{"id": "x", "offset_s": NaN}', nothing, "not JSON .NaN is no JSON number"),
    ('{"id": "x", "offset_s": 1e999}', nothing, "offset_s is inf, expected 0 or more"),
    ('{"id": "x"', nothing, "not JSON"),
    ("[" * 100_000, nothing, "not JSON"),
    ('["x"]', nothing, "expected a JSON object like .*, got list"),
    ('{"id": "x", "text": "\\ud800"}', nothing, "half of a surrogate pair"),
    (b'{"id": "\xff"}', nothing, "not UTF-8"),
]


@pytest.mark.parametrize(("row", "prepare", "message"), BAD, ids=[message[:30] for *_, message in BAD])
def test_a_bad_row_is_named_by_file_and_line(
    root: Path, row: Any, prepare: Callable[[Path], None], message: str
) -> None:
    good = root / "good.wav"
    good.write_bytes((root / "a.wav").read_bytes())
    prepare(root)
    path = lines(root, {"id": "ok", "audio": "good.wav"}, row, "", {"id": "after", "text": "fine"})
    with pytest.raises(InvalidManifest, match=message) as raised:
        Manifest.read(path)
    assert str(raised.value).startswith(f"{path}:2: ")
    manifest = Manifest.read(path, skip_bad=True)
    assert [r.id for r in manifest.rows] == ["ok", "after"]
    assert manifest.skipped == (str(raised.value),)


def test_depth_of_looking(root: Path) -> None:
    nan(root)
    path = lines(root, {"id": "x", "audio": "a.wav"})
    assert len(Manifest.read(path, depth="header").rows) == 1
    with pytest.raises(InvalidManifest, match="NaN"):
        Manifest.read(path, depth="decode")
    damage("a.wav", lambda b: b[:100])(root)
    assert len(Manifest.read(path, depth="path").rows) == 1
    with pytest.raises(InvalidManifest, match="truncated"):
        Manifest.read(path, depth="header")
    (root / "a.wav").unlink()
    with pytest.raises(InvalidManifest, match="no such file"):
        Manifest.read(path, depth="path")


def test_a_part_of_a_long_recording_is_fine(root: Path) -> None:
    two_hours(root)
    manifest = Manifest.read(lines(root, {"id": "x", "audio": "long.flac", "offset_s": 7000, "duration_s": 20}))
    assert manifest.audio(manifest.rows[0]).seconds == 20


def test_links_that_stay_inside_are_fine(root: Path) -> None:
    (root / "link.wav").symlink_to("a.wav")
    assert len(Manifest.read(lines(root, {"id": "x", "audio": "./link.wav"})).rows) == 1


def test_a_manifest_reached_through_a_link(root: Path, tmp_path: Path) -> None:
    lines(root, {"id": "x", "audio": "a.wav"})
    (tmp_path / "alias").symlink_to(root)
    assert len(Manifest.read(tmp_path / "alias" / "manifest.jsonl").rows) == 1


def test_byte_order_mark_and_windows_lines(root: Path) -> None:
    path = root / "manifest.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "1", "text": "a"}\r\n{"id": "2", "text": "b"}\r\n')
    assert [r.id for r in Manifest.read(path).rows] == ["1", "2"]


def test_nothing_usable(root: Path) -> None:
    with pytest.raises(InvalidManifest, match="no usable row"):
        Manifest.read(lines(root))
    with pytest.raises(InvalidManifest, match=r"no usable row\n.*:1: column 'id' is missing"):
        Manifest.read(lines(root, {}), skip_bad=True)
    with pytest.raises(InvalidManifest, match="no such manifest"):
        Manifest.read(root / "other.jsonl")


def test_key_follows_rows_and_content(root: Path) -> None:
    rows = [Utterance(id="1", audio="a.wav", text="x"), Utterance(id="2", audio="b.flac", text="y")]

    def key(*of: Utterance) -> str:
        write_manifest(root / "manifest.jsonl", of)
        return Manifest.read(root / "manifest.jsonl").key

    first = key(*rows)
    assert first == key(*rows)
    assert len({first, key(*rows[::-1]), key(rows[0]), key(rows[0], replace(rows[1], text="z"))}) == 4
    (root / "a.wav").write_bytes((root / "b.flac").read_bytes())
    assert key(*rows) != first


def test_key_does_not_depend_on_how_the_json_is_written(root: Path) -> None:
    one = Manifest.read(lines(root, '{"id": "1", "text": "é", "offset_s": 0.0}')).key
    other = Manifest.read(lines(root, '{ "text":"\\u00e9","id":"1" }')).key
    assert one == other


def test_select(root: Path) -> None:
    rows = [
        Utterance(id="1", text="x", language="fr", source="human"),
        Utterance(id="2", text="x", language="fr", source="human", split="test"),
        Utterance(id="3", text="x", language="de", source="synthetic", split="test"),
    ]
    write_manifest(root / "manifest.jsonl", rows)
    manifest = Manifest.read(root / "manifest.jsonl")
    assert [r.id for r in manifest.select(split="test").rows] == ["2", "3"]
    assert [r.id for r in manifest.select("test", "human", "fr").rows] == ["2"]
    assert manifest.select(split="test").root == root
    keys = [
        manifest.key,
        manifest.select("train").key,
        manifest.select("test").key,
        manifest.select("test", "human").key,
    ]
    assert len(set(keys)) == 4
    with pytest.raises(InvalidManifest, match=r"no row with .*'dev'.*there are .*\['test', 'train'\]"):
        manifest.select(split="dev")


def test_a_made_dataset_has_its_artifacts_key(root: Path) -> None:
    rows = [Utterance(id="1", audio="a.wav"), Utterance(id="2", audio="b.flac", split="test")]
    write_manifest(root / "manifest.jsonl", rows)
    artifact = seal(root, "0123abcd", {"dataset": "x"}, "dataset x")
    manifest = Manifest.read(root / "manifest.jsonl")
    assert manifest.key == artifact.key
    assert manifest.select("test").key not in (artifact.key, manifest.select("train").key)
    assert manifest.select("test").key == Manifest.read(root / "manifest.jsonl").select("test").key
    write_manifest(root / "manifest.jsonl", rows[:1])
    with pytest.raises(InvalidArtifact, match=r"manifest\.jsonl: changed since it was made"):
        Manifest.read(root / "manifest.jsonl")
    (root / "artifact.json").unlink()
    assert Manifest.read(root / "manifest.jsonl").key != artifact.key


def test_a_made_datasets_key_changes_when_rows_are_left_out(root: Path, tmp_path: Path) -> None:
    def build(directory: Path) -> None:
        (directory / "a.wav").write_bytes((root / "a.wav").read_bytes())
        write_manifest(directory / "manifest.jsonl", [Utterance(id="1", audio="a.wav"), Utterance(id="2", text="x")])

    artifact = Store(tmp_path / "store").make({"dataset": "x"}, build, label="dataset x")
    (artifact.directory / "a.wav").unlink()
    manifest = Manifest.read(artifact.directory / "manifest.jsonl", skip_bad=True)
    assert [r.id for r in manifest.rows] == ["2"]
    assert manifest.key != artifact.key
