"""Tables, folders and files of other programs as datasets."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from tests.corpora import build, check_kit, part, speak, write_table

from areca import audio
from areca.errors import InvalidAudio, InvalidConfig, InvalidManifest


def test_csv_by_column_mapping(tmp_path: Path) -> None:
    for name in ("a", "b"):
        speak(tmp_path / "wavs" / f"{name}.wav")
    table = tmp_path / "list.csv"
    table.write_text('file,said,who,from\nwavs/a.wav,"Oui, ""bien""",anne,0.05\nwavs/b.wav,Non,,\n,Rien,,\n')
    columns = {"audio": "file", "text": "said", "speaker": "who", "offset_s": "from", "extra.words": "said"}
    manifest = build(tmp_path, "csv", path=str(table), columns=columns, language="French", split="test")
    first, second = manifest.rows
    assert (first.id, first.text, first.speaker, first.offset_s) == ("a-2", 'Oui, "bien"', "anne", 0.05)
    assert (first.language, first.split, first.extra) == ("fr", "test", {"words": 'Oui, "bien"'})
    assert manifest.audio(first).seconds == pytest.approx(0.15)
    assert (second.id, second.speaker, second.offset_s) == ("b-3", None, 0.0)
    assert manifest.skipped == (f"1 x it names no recording (first: {table}:4)",)
    with pytest.raises(InvalidManifest, match="no column 'words' for 'text'; the table has file, said, who, from"):
        build(tmp_path, "csv", path=str(table), columns={"audio": "file", "text": "words"})
    with pytest.raises(InvalidManifest, match=r"which column names the recording\? .*type: columns=\{audio: NAME\}"):
        build(tmp_path, "csv", path=str(table))
    with pytest.raises(InvalidConfig, match=r"a manifest has no column 'txt'; did you mean 'text'\?"):
        part("csv", path=str(table), columns={"audio": "file", "txt": "said"})


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"a.wav,1,2\n", "expected 2 values, got 3"),
        (b"a.wav,\xe9\n", "not UTF-8 text"),
        (b"a.wav,x\n", "offset_s is 'x'"),
        (b"a.wav,-1\n", "offset_s is '-1'"),
        (b"a.wav,nan\n", "offset_s is 'nan'"),
    ],
)
def test_a_corrupt_line_of_a_csv_names_file_and_line(tmp_path: Path, line: bytes, problem: str) -> None:
    speak(tmp_path / "a.wav")
    table = tmp_path / "list.csv"
    table.write_bytes(b"audio,offset_s\na.wav,\n" + line)
    with pytest.raises(InvalidManifest, match=rf"{re.escape(str(table))}:3: {problem}"):
        build(tmp_path, "csv", path=str(table))
    assert len(build(tmp_path, "csv", path=str(table), skip_bad=True).rows) == 1


def test_tsv_takes_columns_by_their_names(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    speak(root / "a.wav")
    speak(root / "a-en.wav")
    header = ("id", "audio", "text", "target_audio", "target_text", "target_language", "note")
    write_table(tmp_path / "list.tsv", header, ("1", "a.wav", '"Oui', "a-en.wav", "Yes", "English", "unread"))
    manifest = build(tmp_path, "tsv", path=str(tmp_path / "list.tsv"), root=str(root), language="fr")
    [row] = manifest.rows
    assert (row.id, row.text, row.target_text, row.target_language) == ("1", '"Oui', "Yes", "en")
    assert manifest.target_audio(row).seconds == pytest.approx(0.2)
    key = manifest.key
    speak(root / "a.wav", rate_hz=8000)
    assert build(tmp_path, "tsv", path=str(tmp_path / "list.tsv"), root=str(root), language="fr").key != key


def test_rows_with_one_id_are_kept_once(tmp_path: Path) -> None:
    speak(tmp_path / "a.wav")
    write_table(tmp_path / "list.tsv", ("id", "audio"), ("1", "a.wav"), ("1", "a.wav"))
    manifest = build(tmp_path, "tsv", path=str(tmp_path / "list.tsv"))
    assert len(manifest.rows) == 1 and manifest.skipped == ("1 x an earlier row has the same id (first: 1)",)


def parquet(path: Path, names: Sequence[str], *, empty: Sequence[str] = ()) -> None:
    """Write a file as a mirror of CoVoST 2 on the hub has it, with two rows in a row group."""
    audios, clip = [], path.parent / "clip.mp3"
    for name in names:
        speak(clip, pitch=0.1 + len(audios) / 10)
        audios.append({"bytes": None if name in empty else clip.read_bytes(), "path": f"{name}.mp3"})
        clip.unlink()
    rows = {"id": names, "audio": audios, "sentence": [f"Oui {name}." for name in names]}
    rows |= {"translation": ["Yes."] * len(names), "client_id": [7] * len(names)}
    pa.parquet.write_table(pa.table(rows), path, row_group_size=2)


MIRROR = {
    "columns": {"id": "id", "audio": "audio", "text": "sentence", "target_text": "translation", "speaker": "client_id"},
    "language": "fr",
    "target_language": "en",
}


def test_parquet_files_hold_rows_and_recordings(tmp_path: Path) -> None:
    root = tmp_path / "covost2"
    for split in ("train", "validation", "test"):
        (root / "fr_en" / split).mkdir(parents=True)
        names = [f"{split}{i}" for i in range(5)]
        parquet(root / "fr_en" / split / "0000.parquet", names, empty=["train3"])
    given = {"path": str(root), **MIRROR}
    manifest = build(tmp_path, "parquet", **given)
    assert [row.id for row in manifest.rows if row.split == "train"] == ["train0", "train1", "train2", "train4"]
    first = next(row for row in manifest.rows if row.id == "train0")
    assert (first.audio, first.text, first.language) == ("fr_en/train/0000.parquet#0", "Oui train0.", "fr")
    assert (first.target_text, first.target_language, first.speaker) == ("Yes.", "en", "7")
    assert manifest.skipped[0].startswith("1 x the recording cannot be used (first: train3: ")
    pitches = [manifest.audio(row).samples[0, :400].sign().diff().abs().sum() for row in reversed(manifest.rows[-5:])]
    assert pitches == sorted(pitches, reverse=True), "each row has its own recording, in any order"
    check_kit(tmp_path, "parquet", **given)
    parquet(root / "fr_en" / "train" / "0000.parquet", ["train0", "train9"])
    with pytest.raises(InvalidAudio, match=r"row 'train4': .*0000.parquet: expected more than 4 rows, got 2"):
        manifest.audio(manifest.rows[8])
    assert build(tmp_path, "parquet", **given).key != manifest.key


def test_one_parquet_file_and_what_is_not_parquet(tmp_path: Path) -> None:
    parquet(tmp_path / "train-00000-of-00001.parquet", ["a"])
    one = build(tmp_path, "parquet", path=str(tmp_path / "train-00000-of-00001.parquet"), **MIRROR)
    assert [(row.audio, row.split) for row in one.rows] == [("train-00000-of-00001.parquet#0", "train")]
    unnamed = build(tmp_path, "parquet", path=str(tmp_path), columns={"audio": "audio"})
    assert [(row.id, row.text) for row in unnamed.rows] == [("train-00000-of-00001.parquet#0", None)]
    (tmp_path / "script").mkdir()
    with pytest.raises(InvalidConfig, match=r"script: no \.parquet file is in it"):
        build(tmp_path, "parquet", path=str(tmp_path / "script"), **MIRROR)
    (tmp_path / "script" / "covost2.py").touch()
    with pytest.raises(InvalidConfig, match=r"script covost2\.py builds, and scripts are not run; .*fixie-ai/covost2"):
        build(tmp_path, "parquet", path=str(tmp_path / "script"), **MIRROR)
    (tmp_path / "script" / "bad.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(InvalidManifest, match=r"bad\.parquet: not a Parquet file"):
        build(tmp_path, "parquet", path=str(tmp_path / "script"), **MIRROR)


def test_jsonl_by_dotted_names(tmp_path: Path) -> None:
    speak(tmp_path / "a.wav")
    (tmp_path / "nemo.json").write_text(
        '{"audio_filepath": "a.wav", "duration": 0.1, "labels": [{"text": "oui"}], "quality": {"snr": 20}}\n'
        '{"audio_filepath": "a.wav", "labels": []}\n'
        '{"labels": []}\n'
    )
    columns = {"audio": "audio_filepath", "duration_s": "duration", "text": "labels.0.text", "extra.snr": "quality.snr"}
    manifest = build(tmp_path, "jsonl", path=str(tmp_path / "nemo.json"), columns=columns)
    assert [(row.id, row.text, row.duration_s, row.extra) for row in manifest.rows] == [
        ("a-1", "oui", 0.1, {"snr": "20"}),
        ("a-2", None, None, {}),
    ]
    assert manifest.skipped == (f"1 x it names no recording (first: {tmp_path / 'nemo.json'}:3)",)
    (tmp_path / "bad.json").write_text('{"audio": "a.wav"}\n{"audio": \n[1]\n')
    with pytest.raises(InvalidManifest, match=r"bad\.json:2: not JSON"):
        build(tmp_path, "jsonl", path=str(tmp_path / "bad.json"))
    skipped = build(tmp_path, "jsonl", path=str(tmp_path / "bad.json"), skip_bad=True).skipped
    assert skipped[0].startswith("2 x corrupt line")


def cut(name: str, supervisions: int = 1, type: str = "file") -> dict[str, Any]:
    spoken = {"text": "oui", "language": "French", "speaker": "anne", "custom": {"translation": "yes"}}
    source = {"type": type, "channels": [0], "source": "a.wav"}
    return {
        "id": name, "start": 0.05, "duration": 0.1, "supervisions": [spoken] * supervisions,
        "recording": {"id": "a", "sources": [source], "sampling_rate": 16_000}, "type": "MonoCut",
    }  # fmt: skip


def test_lhotse_cuts(tmp_path: Path) -> None:
    speak(tmp_path / "a.wav")
    cuts = [cut("c1"), cut("c2", supervisions=2), cut("c3", supervisions=0), cut("c4", type="command")]
    with gzip.open(tmp_path / "cuts.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(one) + "\n" for one in cuts)
    columns = {"target_text": "supervisions.0.custom.translation"}
    given = {"path": str(tmp_path / "cuts.jsonl.gz"), "columns": columns, "target_language": "en"}
    manifest = build(tmp_path, "lhotse", **given)
    [row] = manifest.rows
    assert (row.id, row.text, row.language, row.speaker) == ("c1", "oui", "fr", "anne")
    assert (row.target_text, row.target_language, row.offset_s) == ("yes", "en", 0.05)
    assert manifest.audio(row).seconds == pytest.approx(0.1)
    assert [message.partition(" (")[0] for message in manifest.skipped] == [
        "2 x the cut has not exactly one supervision",
        "1 x the audio of the cut is not a file",
    ]


def test_kaldi_folders(tmp_path: Path) -> None:
    for name in ("r1", "r2"):
        speak(tmp_path / "wavs" / f"{name}.wav")
    train, test = tmp_path / "train", tmp_path / "test"
    for folder in (train, test):
        folder.mkdir()
        scp = f"r1 {tmp_path}/wavs/r1.wav\nr2 wavs/r2.wav\npipe sox x.wav -t wav - |\n"
        (folder / "wav.scp").write_text(scp)
    (train / "segments").write_text("u1 r1 0.05 0.15\nu2 r2 0 0.1\nu3 pipe 0 1\nu4 r9 0 1\nu5 r1 0 0.1\n")
    (train / "text").write_text("u1 oui  bien\nu2 non\nu3 x\nu4 y\nu5\n")
    (train / "utt2spk").write_text("u1 anne\n")
    (train / "utt2lang").write_text("u2 de\n")
    given = {"train": str(train), "test": str(test), "root": str(tmp_path), "language": "fr"}
    manifest = build(tmp_path, "kaldi", **given)
    assert [(row.id, row.audio, row.text, row.speaker, row.language, row.split) for row in manifest.rows] == [
        ("u1", "wavs/r1.wav", "oui  bien", "anne", "fr", "train"),
        ("u2", "wavs/r2.wav", "non", None, "de", "train"),
        ("r1", "wavs/r1.wav", None, None, "fr", "test"),
        ("r2", "wavs/r2.wav", None, None, "fr", "test"),
    ]
    assert manifest.audio(manifest.rows[0]).seconds == pytest.approx(0.1)
    assert sorted(message.partition(" (")[0] for message in manifest.skipped) == [
        "1 x it has no text",
        "1 x its recording is not in wav.scp",
        "2 x the recording is a command, which is not run",
    ]
    speak(tmp_path / "wavs" / "r2.wav", rate_hz=8000)
    assert build(tmp_path, "kaldi", **given).key != manifest.key
    (train / "segments").write_text("u1 r1 0.15 0.05\n")
    with pytest.raises(InvalidManifest, match=r"segments:1: expected UTTERANCE RECORDING START END"):
        build(tmp_path, "kaldi", **given)
    with pytest.raises(InvalidConfig, match="give a folder: train=data/train"):
        part("kaldi", language="fr")


def test_absolute_paths_must_be_in_the_folder(tmp_path: Path) -> None:
    speak(tmp_path / "corpus" / "a.wav")
    speak(tmp_path / "b.wav")
    names = (str(tmp_path / "corpus" / "a.wav"), str(tmp_path / "b.wav"))
    write_table(tmp_path / "corpus" / "list.tsv", ("audio",), *([name] for name in names))
    inside = build(tmp_path, "tsv", path=str(tmp_path / "corpus" / "list.tsv"))
    assert [row.audio for row in inside.rows] == ["a.wav"]
    assert "leads out of" in inside.skipped[0] and "choose a folder that holds all recordings" in inside.skipped[0]
    everywhere = build(tmp_path, "tsv", path=str(tmp_path / "corpus" / "list.tsv"), root="/")
    assert [row.audio for row in everywhere.rows] == [name.lstrip("/") for name in names]


def test_audio_folder(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    for name, text in {"train/anne/a.wav": "oui", "dev/anne/b.FLAC": "non", "c.ogg": " \n", "d.wav": None}.items():
        speak(root / name.replace("FLAC", "flac"))
        if name.endswith("FLAC"):
            (root / name.replace("FLAC", "flac")).rename(root / name)
        if text is not None:
            (root / name).with_suffix(".txt").write_text(text)
    given = {"root": str(root), "language": "fr", "speaker": "folder"}
    manifest = build(tmp_path, "audio-folder", **given)
    assert [(row.id, row.text, row.speaker, row.split) for row in manifest.rows] == [
        ("dev/anne/b.FLAC", "non", "anne", "validation"),
        ("train/anne/a.wav", "oui", "anne", "train"),
    ]
    assert len(manifest.skipped) == 2
    without = build(tmp_path, "audio-folder", **given, text="none")
    assert [row.id for row in without.rows] == ["c.ogg", "d.wav", "dev/anne/b.FLAC", "train/anne/a.wav"]
    assert without.rows[0].text is None and without.rows[0].speaker is None
    assert audio.read(root / "d.wav").samples.equal(without.audio(without.rows[1]).samples)
