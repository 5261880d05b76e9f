"""Manifests: rows, refused rows, keys and selections."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import torch
from tests import DATA

from areca.artifact import seal
from areca.artifacts.store import Store
from areca.audio import write
from areca.cli.data import data
from areca.errors import InvalidArtifact, InvalidAudio, InvalidConfig, InvalidManifest, MissingDependency
from areca.manifest import FileManifest, Utterance, read_manifest, write_manifest
from areca.options import file_hash
from areca.sound import pyav_client
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
    manifest = read_manifest(root / "manifest.jsonl")
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
    manifest = read_manifest(root / "manifest.jsonl")
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


def sound(samples: Any) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        soundfile.write(root / "a.wav", np.asarray(samples, np.float32), RATE, subtype="FLOAT")

    return apply


def crash(root: Path) -> None:
    shutil.copy(DATA / "crash.m4a", root / "crash.m4a")


def half(root: Path) -> None:
    """Write half of a WebM of 2 s."""
    with av.open(str(root / "half.webm"), "w") as out:
        stream: Any = out.add_stream("libopus", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 96_000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 48_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)
    damage("half.webm", lambda b: b[: len(b) * 6 // 10])(root)


def two_hours(root: Path) -> None:
    with soundfile.SoundFile(root / "long.flac", "w", 1000, 1) as file:
        for _ in range(72):
            file.write(np.tile(np.array([0.1, -0.1], dtype=np.float32), 50_000))


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
    ({"id": "x", "audio": "a.wav"}, sound(np.zeros(RATE)), "a.wav: is silent"),
    ({"id": "x", "audio": "a.wav"}, sound([0.1]), "a.wav: lasts 0.000125 s, expected 0.02 s or more"),
    ({"id": "x", "audio": "a.wav"}, sound(22_900 * np.sin(np.arange(RATE))), "got a peak of 2"),
    ({"id": "x", "audio": "crash.m4a"}, crash, "crash.m4a: crashes the decoder"),
    ({"id": "x", "audio": "half.webm"}, half, "half.webm: truncated, its header declares"),
    ({"id": "x", "audio": "half.webm", "duration_s": 1.9}, half, "half.webm: truncated, its header declares"),
    ({"id": "ok", "audio": "a.wav"}, nothing, "id 'ok' is taken by line 1"),
    ({"id": "x", "audio": "../secret.wav"}, link_out, r"'\.\./secret.wav' leads out of the manifest's folder"),
    ({"id": "x", "audio": "q/../../secret.wav"}, link_out, "leads out of the manifest's folder"),
    ({"id": "x", "audio": "link.wav"}, link_out, "'link.wav' leads out of the manifest's folder"),
    ({"id": "x", "audio": "folder/a.wav"}, link_folder_out, "'folder/a.wav' leads out of the manifest's folder"),
    ({"id": "x", "audio": "/etc/passwd"}, nothing, "audio: /etc/passwd: not audio"),
    ({"id": "x", "audio": "."}, nothing, "leads out of the manifest's folder|expected a file"),
    ({"id": "x", "audio": "a\0.wav"}, nothing, "expected one relative to"),
    ({"id": "x", "audoi": "a.wav"}, nothing, "unknown column 'audoi'; did you mean 'audio'"),
    ({"id": "x", "emotion": "joy"}, nothing, "unknown column 'emotion'\n.*data into extra"),
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
    ('{"id": "x", "offset_s": NaN}', nothing, "not JSON .NaN is not a JSON number"),
    ('{"id": "x", "offset_s": 1e999}', nothing, "offset_s is inf, expected 0 or more"),
    (f'{{"id": "x", "offset_s": 1{"0" * 400}}}', nothing, r"offset_s is 10+ \.\.\. 0+, expected 0 or more seconds"),
    (f'{{"id": "x", "duration_s": 1{"0" * 400}}}', nothing, r"duration_s is 10+ \.\.\. 0+, expected more than 0"),
    ('{"id": "x", "extra": {"n": [0, -1e999]}}', nothing, r"extra\.n\[1\] is -inf, expected a number"),
    ('{"id": "x", "extra": {"a": [{"b": "\\ud800"}]}}', nothing, r"extra\.a\[0\]\.b is '\\ud800': half of a surrogate"),
    ('{"id": "x", "extra": {"a": {"\\udfff": 1}}}', nothing, r"a name in extra\.a is '\\udfff': half of a surrogate"),
    (f'{{"id": "x", "extra": {{"a": {"[" * 400 + "]" * 400}}}}}', nothing, "extra is more than 100 lists and objects"),
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
        read_manifest(path)
    assert str(raised.value).startswith(f"{path}:2: ")
    manifest = read_manifest(path, skip_bad=True)
    assert [r.id for r in manifest.rows] == ["ok", "after"]
    said, _, way_out = str(raised.value).rpartition("\n")
    assert manifest.skipped == (said,)
    good_rows = root / "manifest-good.jsonl"
    assert (
        way_out
        == f"  to leave bad rows out: {shlex.join(['areca', 'data', str(path), '--skip-bad', '-o', str(good_rows)])}"
    )
    data(str(path), output=str(good_rows), skip_bad=True)
    assert read_manifest(good_rows).rows == manifest.rows


def test_what_a_row_needs_to_be_read_is_missing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyav_client.close()  # the next file needs a new process, which needs PyAV
    monkeypatch.setitem(sys.modules, "av", None)
    (root / "x.g722").write_bytes(bytes(100))
    path = lines(root, {"id": "ok", "audio": "a.wav"}, {"id": "x", "audio": "x.g722"})
    with pytest.raises(InvalidManifest, match=r"manifest\.jsonl:2: audio: .*x\.g722: .*pip install 'areca\[formats\]'"):
        read_manifest(path)
    assert [r.id for r in read_manifest(path, skip_bad=True).rows] == ["ok"]
    manifest = read_manifest(path, depth="path")
    with pytest.raises(MissingDependency, match=r"row 'x': .*x\.g722: .*pip install 'areca\[formats\]'"):
        manifest.audio(manifest.rows[1])


def test_any_language_and_whole_numbers_of_any_length_in_extra_are_read(root: Path) -> None:
    path = lines(root, {"id": "x", "language": "tlh", "extra": {"n": 10**400}})
    manifest = read_manifest(path)
    assert len(manifest.key) == 64
    assert (manifest.path, manifest.select(language="tlh").path) == (path, path)


def test_good_rows_are_written_beside_the_manifest(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    good = {"id": "1", "audio": "b.flac", "offset_s": 0.5, "text": "été", "extra": {"n": 1}}
    path = lines(root, good, {"id": "2", "audio": "no.wav"}, {"id": "3", "text": "x"})
    with pytest.raises(InvalidManifest, match=r"manifest\.jsonl:2: audio: "):
        data("manifest.jsonl", output="good.jsonl")
    assert not (root / "good.jsonl").exists()
    data(str(path), output="good.jsonl", skip_bad=True)
    said = capsys.readouterr().out
    assert f"{path}:2: audio: {root / 'no.wav'}: no such file" in said
    assert "left out 1 of 3 rows\n" in said
    manifest = read_manifest("good.jsonl")
    assert list(manifest.rows) == [Utterance(**good), Utterance(id="3", text="x")]
    assert f"2 rows in good.jsonl, key {manifest.key[:12]}" in said
    data("good.jsonl", output="again.jsonl")
    assert "left out 0 of 2 rows\n" in capsys.readouterr().out
    assert (root / "again.jsonl").read_bytes() == (root / "good.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("good.jsonl", "good.jsonl: exists already"),
        ("manifest.jsonl", "manifest.jsonl: exists already"),
        ("dangling.jsonl", "dangling.jsonl: exists already"),
        ("../good.jsonl", r"write it beside .*manifest\.jsonl, as: -o .*manifest-good\.jsonl"),
        ("missing/good.jsonl", r"write it beside .*manifest\.jsonl"),
        ("good", r"write it beside .*manifest\.jsonl"),
    ],
)
def test_good_rows_go_nowhere_else_and_over_nothing(root: Path, output: str, message: str) -> None:
    path = lines(root, {"id": "1", "audio": "a.wav"}, {"id": "2", "audio": "no.wav"})
    (root / "good.jsonl").write_text("precious")
    (root / "dangling.jsonl").symlink_to("nothing")
    there = sorted(root.parent.rglob("*"))
    with pytest.raises(InvalidConfig, match=message):
        data(str(path), output=str(root / output), skip_bad=True)
    assert sorted(root.parent.rglob("*")) == there
    assert (root / "good.jsonl").read_text() == "precious"


def test_nothing_is_written_over_what_appears_while_rows_are_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = lines(root, {"id": "1", "text": "x"}), read_manifest

    def slow(*args: Any, **options: Any) -> FileManifest:
        (root / "good.jsonl").write_text("precious")
        return read(*args, **options)

    monkeypatch.setattr("areca.manifest.read_manifest", slow)
    with pytest.raises(InvalidConfig, match=r"good\.jsonl: exists already"):
        data(str(path), output=str(root / "good.jsonl"), skip_bad=True)
    assert (root / "good.jsonl").read_text() == "precious"


def test_nothing_is_written_into_an_artifact(root: Path) -> None:
    path = lines(root, {"id": "1", "audio": "a.wav"})
    seal(root, "0123abcd", {"dataset": "x"}, "dataset x")
    with pytest.raises(InvalidConfig, match=r"is an artifact and cannot be changed; copy the folder elsewhere"):
        data(str(path), output=str(root / "good.jsonl"), skip_bad=True)
    shutil.copy(path, root / "own.jsonl")
    with pytest.raises(
        InvalidArtifact, match=r"own\.jsonl: does not belong to the artifact.*\n.*remove .*artifact\.json"
    ):
        read_manifest(root / "own.jsonl")


def test_each_depth_checks_what_it_states(root: Path) -> None:
    nan(root)
    path = lines(root, {"id": "x", "audio": "a.wav"})
    assert len(read_manifest(path, depth="header").rows) == 1
    with pytest.raises(InvalidManifest, match="NaN"):
        read_manifest(path, depth="decode")
    damage("a.wav", lambda b: b[:100])(root)
    assert len(read_manifest(path, depth="path").rows) == 1
    with pytest.raises(InvalidManifest, match="truncated"):
        read_manifest(path, depth="header")
    (root / "a.wav").unlink()
    with pytest.raises(InvalidManifest, match="no such file"):
        read_manifest(path, depth="path")


def test_a_part_of_a_long_recording_is_fine(root: Path) -> None:
    two_hours(root)
    manifest = read_manifest(lines(root, {"id": "x", "audio": "long.flac", "offset_s": 7000, "duration_s": 20}))
    assert manifest.audio(manifest.rows[0]).seconds == 20


def test_links_that_stay_inside_are_fine(root: Path) -> None:
    (root / "link.wav").symlink_to("a.wav")
    assert len(read_manifest(lines(root, {"id": "x", "audio": "./link.wav"})).rows) == 1


def test_a_manifest_reached_through_a_link(root: Path, tmp_path: Path) -> None:
    lines(root, {"id": "x", "audio": "a.wav"})
    (tmp_path / "alias").symlink_to(root)
    assert len(read_manifest(tmp_path / "alias" / "manifest.jsonl").rows) == 1


def test_byte_order_mark_and_windows_lines(root: Path) -> None:
    path = root / "manifest.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "1", "text": "a"}\r\n{"id": "2", "text": "b"}\r\n')
    assert [r.id for r in read_manifest(path).rows] == ["1", "2"]


def test_nothing_usable(root: Path) -> None:
    with pytest.raises(InvalidManifest, match="an empty file, expected a manifest"):
        read_manifest(lines(root))
    with pytest.raises(InvalidManifest, match=r"no usable row\n.*:1: column 'id' is missing"):
        read_manifest(lines(root, {}), skip_bad=True)
    with pytest.raises(InvalidManifest, match="no such manifest"):
        read_manifest(root / "other.jsonl")


def test_key_follows_rows_and_content(root: Path) -> None:
    rows = [Utterance(id="1", audio="a.wav", text="x"), Utterance(id="2", audio="b.flac", text="y")]

    def key(*of: Utterance) -> str:
        write_manifest(root / "manifest.jsonl", of)
        return read_manifest(root / "manifest.jsonl").key

    first = key(*rows)
    assert first == key(*rows)
    assert len({first, key(*rows[::-1]), key(rows[0]), key(rows[0], replace(rows[1], text="z"))}) == 4
    (root / "a.wav").write_bytes((root / "b.flac").read_bytes())
    assert key(*rows) != first


def test_key_does_not_depend_on_how_the_json_is_written(root: Path) -> None:
    one = read_manifest(lines(root, '{"id": "1", "text": "é", "offset_s": 0.0}')).key
    other = read_manifest(lines(root, '{ "text":"\\u00e9","id":"1" }')).key
    assert one == other


def test_select(root: Path) -> None:
    rows = [
        Utterance(id="1", text="x", language="fr", source="human"),
        Utterance(id="2", text="x", language="fr", source="human", split="test"),
        Utterance(id="3", text="x", language="de", source="synthetic", split="test"),
    ]
    write_manifest(root / "manifest.jsonl", rows)
    manifest = read_manifest(root / "manifest.jsonl")
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


def test_a_built_dataset_has_its_artifacts_key(root: Path) -> None:
    rows = [Utterance(id="1", audio="a.wav"), Utterance(id="2", audio="b.flac", split="test")]
    write_manifest(root / "manifest.jsonl", rows)
    artifact = seal(root, "0123abcd", {"dataset": "x"}, "dataset x")
    manifest = read_manifest(root / "manifest.jsonl")
    assert manifest.key == artifact.key
    assert manifest.select("test").key not in (artifact.key, manifest.select("train").key)
    assert manifest.select("test").key == read_manifest(root / "manifest.jsonl").select("test").key
    write_manifest(root / "manifest.jsonl", rows[:1])
    with pytest.raises(InvalidArtifact, match=r"manifest\.jsonl: changed since it was made"):
        read_manifest(root / "manifest.jsonl")
    (root / "artifact.json").unlink()
    assert read_manifest(root / "manifest.jsonl").key != artifact.key


@pytest.mark.parametrize(
    ("change", "happened"),
    [
        (damage("b.flac", lambda b: b[:-1] + bytes([b[-1] ^ 1])), "changed"),
        (damage("b.flac", lambda b: b[: len(b) // 2]), "changed"),
        (lambda root: (root / "b.flac").unlink(), "removed"),
    ],
)
def test_every_file_of_a_built_dataset_outside_the_store_is_checked(
    root: Path, change: Callable[[Path], None], happened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_manifest(root / "manifest.jsonl", [Utterance(id="1", audio="a.wav"), Utterance(id="2", audio="b.flac")])
    artifact = seal(root, "0123abcd", {"dataset": "x"}, "dataset x")
    (root / "notes.txt").write_text("what is no part of the data changes nothing")
    assert read_manifest(root / "manifest.jsonl").key == artifact.key
    change(root)
    monkeypatch.chdir(root)
    for path in (root / "manifest.jsonl", Path("manifest.jsonl")):
        with pytest.raises(
            InvalidArtifact, match=rf"b\.flac: {happened} since it was made\n.*\n.*remove .*artifact\.json"
        ):
            read_manifest(path, skip_bad=True)
    (root / "artifact.json").unlink()
    assert read_manifest(root / "manifest.jsonl", skip_bad=True).key != artifact.key


def test_a_built_dataset_in_the_store_is_not_hashed_at_each_reading(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(directory: Path) -> None:
        shutil.copy(root / "a.wav", directory)
        write_manifest(directory / "manifest.jsonl", [Utterance(id="1", audio="a.wav")])

    artifact = Store(tmp_path / "store").make({"dataset": "x"}, build, label="dataset x")
    hashed = []
    monkeypatch.setattr("areca.manifest.file_hash", lambda path: hashed.append(path.name) or file_hash(path))
    assert read_manifest(artifact.directory / "manifest.jsonl").key == artifact.key
    assert hashed == ["manifest.jsonl"]


def test_a_built_datasets_key_changes_when_rows_are_left_out(root: Path, tmp_path: Path) -> None:
    def build(directory: Path) -> None:
        (directory / "a.wav").write_bytes((root / "a.wav").read_bytes())
        write_manifest(directory / "manifest.jsonl", [Utterance(id="1", audio="a.wav"), Utterance(id="2", text="x")])

    artifact = Store(tmp_path / "store").make({"dataset": "x"}, build, label="dataset x")
    (artifact.directory / "a.wav").unlink()
    manifest = read_manifest(artifact.directory / "manifest.jsonl", skip_bad=True)
    assert [r.id for r in manifest.rows] == ["2"]
    assert manifest.key != artifact.key
