"""The corpora of `areca_corpora`: each in a tiny copy in its own layout."""

from __future__ import annotations

import gzip
import json
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import soundfile
import yaml
from tests import ROOT
from tests.core.test_run import RUN
from typer.testing import CliRunner

import areca_corpora
from areca import Kind, audio
from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.cli.app import app
from areca.errors import ArecaWarning, InvalidAudio, InvalidConfig, InvalidManifest
from areca.manifest import Manifest
from areca.pipeline.pipeline import Pipeline
from areca.registry.parts import Part, resolve
from areca.registry.registry import Registry
from areca.run.config import parse_config
from areca.testing import CheckedComponent, run
from areca_corpora.manifest import CorpusManifest

FORMATS = {".opus": {"format": "OGG", "subtype": "OPUS"}}
REGISTRY = Registry.discover()


def speak(path: Path, *, rate_hz: int = 16_000, pitch: float = 0.1, level: float = 0.3) -> None:
    """Write a tone of 0.2 s in the format of the file's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (level * np.sin(np.arange(rate_hz // 5) * pitch)).astype(np.float32)
    soundfile.write(path, samples, rate_hz, **FORMATS.get(path.suffix, {}))


def write_table(path: Path, *rows: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def part(name: str, **options: Any) -> Part:
    return resolve(REGISTRY, Kind.DATASET, {"name": name, **options}, role="data")


def build(tmp_path: Path, name: str, **options: Any) -> CorpusManifest:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ArecaWarning)
        manifest: CorpusManifest = PartLoader(Store(tmp_path / "store")).instance(part(name, **options))
    assert isinstance(manifest, Manifest)
    return manifest


def check_kit(tmp_path: Path, name: str, **options: Any) -> None:
    entry = REGISTRY.find(Kind.DATASET, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ArecaWarning)
        outcomes = list(run(CheckedComponent(entry, tmp_path, registry=REGISTRY, options=options)))
    assert [(o.check, o.message) for o in outcomes if o.state == "fail"] == []


# ----------------------------------------------------------------------------------------------------- Common Voice

OLD = ("client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent")
NEW = (
    "client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes", "age", "gender",
    "accents", "variant", "locale", "segment",
)  # fmt: skip


def old_clip(name: str, sentence: str, speaker: str = "anne") -> tuple[str, ...]:
    return speaker, name, sentence, "2", "0", "twenties", "female", ""


def new_clip(name: str, sentence: str) -> tuple[str, ...]:
    return "anne", name, "3f", sentence, "", "2", "0", "twenties", "female_feminine", "Suisse", "", "fr", ""


def common_voice(root: Path, language: str = "fr") -> Path:
    """Write release 4 of a language; ``validated.tsv`` has all clips."""
    folder = root / language
    clips = {split: old_clip(f"cv_{split}.mp3", f'"Bonjour", dit {split}.') for split in ("train", "dev", "test")}
    for split, row in clips.items():
        write_table(folder / f"{split}.tsv", OLD, row)
        speak(folder / "clips" / row[1], rate_hz=48_000, pitch=0.02)
    write_table(folder / "validated.tsv", OLD, *clips.values())
    return root


def test_common_voice_before_release_12(tmp_path: Path) -> None:
    root = common_voice(tmp_path / "cv")
    write_table(
        root / "fr" / "train.tsv",
        OLD,
        old_clip("cv_train", 'Un "mot" \\ \'seul'),  # early releases leave the suffix out
        old_clip("cv_empty.mp3", "  "),
        old_clip("cv_lost.mp3", "Perdu."),
        old_clip("../../secret.mp3", "Dehors."),
    )
    manifest = build(tmp_path, "common-voice", root=str(root), languages=["fr"])
    assert [row.id for row in manifest.rows] == ["fr/cv_train", "fr/cv_dev", "fr/cv_test"]
    first = manifest.rows[0]
    assert (first.audio, first.text) == ("fr/clips/cv_train.mp3", 'Un "mot" \\ \'seul')
    assert (first.language, first.speaker, first.split, first.source) == ("fr", "anne", "train", "common-voice")
    assert first.extra == {"gender": "female", "age": "twenties"}
    assert [row.split for row in manifest.rows] == ["train", "validation", "test"]
    assert manifest.audio(first).sample_rate_hz == 48_000
    table = root / "fr" / "train.tsv"
    assert len(manifest.skipped) == 3
    assert f"1 x the sentence is empty (first: {table}:3)" in manifest.skipped
    assert any(
        message.startswith("1 x the recording is missing or empty (first: fr/cv_lost") for message in manifest.skipped
    )
    assert any(message.startswith("1 x the path of the recording leads out of") for message in manifest.skipped)


def test_common_voice_from_release_12_on(tmp_path: Path) -> None:
    folder = tmp_path / "cv" / "sv-SE"
    write_table(folder / "train.tsv", NEW, new_clip("a.mp3", "Hej."))
    speak(folder / "clips" / "a.mp3", rate_hz=32_000)
    manifest = build(tmp_path, "common-voice", root=str(tmp_path / "cv"), languages=["sv-SE"], splits=["train"])
    [row] = manifest.rows
    assert (row.id, row.text, row.language) == ("sv-SE/a", "Hej.", "sv")
    assert row.extra == {"gender": "female_feminine", "age": "twenties", "accent": "Suisse"}


def test_the_artifact_holds_no_audio_and_the_kit_passes(tmp_path: Path) -> None:
    root = common_voice(tmp_path / "cv")
    check_kit(tmp_path, "common-voice", root=str(root), languages=["fr"])
    build(tmp_path, "common-voice", root=str(root), languages=["fr"])
    [artifact] = Store(tmp_path / "store").artifacts()
    assert sorted(artifact.files) == ["digests.json", "dropped.json", "rows.jsonl"]


def test_a_corrupt_line_names_file_and_line(tmp_path: Path) -> None:
    root = common_voice(tmp_path / "cv")
    table = root / "fr" / "dev.tsv"
    with table.open("ab") as file:
        file.write(b"anne\tcv_dev2.mp3\n")
        file.write(b"\t".join([b"anne", b"x.mp3", b"caf\xe9", *[b""] * 5]) + b"\n")
    given = {"root": str(root), "languages": ["fr"]}
    with pytest.raises(
        InvalidManifest, match=rf"{re.escape(str(table))}:3: expected 8 values separated by tabs, got 2"
    ):
        build(tmp_path, "common-voice", **given)
    manifest = build(tmp_path, "common-voice", **given, skip_bad=True)
    assert [message.partition(" (")[0] for message in manifest.skipped] == ["2 x corrupt line"]
    write_table(table, [column for column in OLD if column != "sentence"])
    with pytest.raises(InvalidManifest, match=r"dev\.tsv:1: no column 'sentence'"):
        build(tmp_path, "common-voice", **given)


def test_what_is_left_out_is_a_warning_and_areca_data_prints_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = common_voice(tmp_path / "cv")
    (root / "fr" / "clips" / "cv_dev.mp3").write_bytes(b"")
    with pytest.warns(ArecaWarning, match="rows are left out:\n  1 x the recording is missing or empty"):
        PartLoader(Store(tmp_path / "store")).instance(part("common-voice", root=str(root), languages=["fr"]))
    monkeypatch.setenv("ARECA_HOME", str(tmp_path / "store"))
    shown = CliRunner().invoke(app, ["data", "common-voice", f"root={root}", "languages=[fr]"])
    assert shown.exit_code == 0, shown.output
    assert f"audio is left where it is: {root}" in shown.output
    assert "left out: 1 x the recording is missing or empty" in shown.output


def test_without_a_usable_row_the_reasons_are_reported(tmp_path: Path) -> None:
    root = common_voice(tmp_path / "cv")
    for clip in (root / "fr" / "clips").iterdir():
        clip.unlink()
    with pytest.raises(InvalidManifest, match=r"cv: no usable row\n  3 x the recording is missing or empty"):
        build(tmp_path, "common-voice", root=str(root), languages=["fr"])


def test_a_wrong_folder_states_the_layout(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidConfig, match=r"nowhere/fr/.*: no such file or folder; expected a release of Common Voice"
    ):
        build(tmp_path, "common-voice", root=str(tmp_path / "nowhere"), languages=["fr"])
    with pytest.raises(InvalidConfig, match="splits: there is no 'dev'"):
        part("common-voice", root=str(tmp_path), languages=["fr"], splits=["dev"])


def test_the_key_follows_the_corpus_and_not_its_place(tmp_path: Path) -> None:
    root = common_voice(tmp_path / "cv")
    manifest = build(tmp_path, "common-voice", root=str(root), languages=["fr"])
    clip = root / "fr" / "clips" / "cv_train.mp3"
    content = clip.read_bytes()
    root.rename(tmp_path / "moved")
    moved = build(tmp_path, "common-voice", root=str(tmp_path / "moved"), languages=["fr"])
    assert moved.key == manifest.key
    assert moved.audio(moved.rows[0]).samples.shape[0] == 1
    clip = tmp_path / "moved" / "fr" / "clips" / "cv_train.mp3"
    clip.write_bytes(content[:-1] + b"\0")  # the key cannot see this, the digest does
    with pytest.raises(InvalidAudio, match=r"row 'fr/cv_train': .*cv_train\.mp3: changed since the dataset was built"):
        moved.audio(moved.rows[0])
    clip.write_bytes(content + content)
    assert build(tmp_path, "common-voice", root=str(tmp_path / "moved"), languages=["fr"]).key != manifest.key


def test_decode_leaves_damaged_and_silent_recordings_out(tmp_path: Path) -> None:
    root = common_voice(tmp_path / "cv")
    (root / "fr" / "clips" / "cv_dev.mp3").write_bytes(b"not audio" * 100)
    speak(root / "fr" / "clips" / "cv_test.mp3", level=0.0)
    given = {"root": str(root), "languages": ["fr"]}
    assert len(build(tmp_path, "common-voice", **given).rows) == 3
    decoded = build(tmp_path, "common-voice", **given, decode=True)
    assert [row.id for row in decoded.rows] == ["fr/cv_train"]
    assert decoded.skipped[0].startswith("2 x the recording cannot be used (first: fr/cv_dev")


# -------------------------------------------------------------------------------------------------- CoVoST 2 and CVSS


def test_covost2_reads_the_tables_of_splits(tmp_path: Path) -> None:
    root, tables = common_voice(tmp_path / "cv"), tmp_path / "covost"
    header = ("path", "sentence", "translation", "client_id")
    for split in ("train", "dev", "test"):
        row = (f"cv_{split}.mp3", f'\\"Bonjour\\", dit {split}.', f'\\"Hello\\", says {split}.', "anne")
        write_table(tables / f"covost_v2.fr_en.{split}.tsv", header, row)
    manifest = build(tmp_path, "covost2", root=str(tables), common_voice=str(root), pairs=["fr_en"])
    assert [row.id for row in manifest.rows] == ["fr_en/cv_train", "fr_en/cv_dev", "fr_en/cv_test"]
    first = manifest.rows[0]
    assert (first.text, first.target_text) == ('"Bonjour", dit train.', '"Hello", says train.')
    assert (first.language, first.target_language, first.speaker) == ("fr", "en", "anne")
    assert manifest.audio(first).sample_rate_hz == 48_000


def test_covost2_joins_its_whole_table_to_common_voice(tmp_path: Path) -> None:
    root, tables = common_voice(tmp_path / "cv"), tmp_path / "covost"
    write_table(
        tables / "covost_v2.fr_en.tsv",
        ("path", "translation", "split"),
        ("cv_train.mp3", "Hello.", "train"),
        ("cv_dev.mp3", "More.", "train_covost"),
        ("cv_test.mp3", "", "test"),
        ("cv_other.mp3", "Not validated.", "train"),
        ("cv_dev.mp3", "Not in version 2.", "dev_covost"),
    )
    manifest = build(tmp_path, "covost2", root=str(tables), common_voice=str(root), pairs=["fr_en"])
    assert [(row.text, row.target_text, row.split) for row in manifest.rows] == [
        ('"Bonjour", dit train.', "Hello.", "train"),
        ('"Bonjour", dit dev.', "More.", "train"),
    ]
    assert [message.partition(" (")[0] for message in manifest.skipped] == [
        "1 x the sentence or its translation is empty",
        "1 x not in validated.tsv of Common Voice",
    ]
    with pytest.raises(InvalidConfig, match="pairs: 'fr' is not a pair of languages like fr_en"):
        part("covost2", root=str(tables), common_voice=str(root), pairs=["fr"])


def cvss(root: Path, language: str) -> Path:
    folder = root / f"cvss_c_{language}_en_v1.0"
    for split in ("train", "dev", "test"):
        write_table(folder / f"{split}.tsv", (f"cv_{split}.mp3", f"hello says {split}"))
        speak(folder / split / f"cv_{split}.mp3.wav", rate_hz=24_000)
    return root


def test_cvss_is_joined_to_common_voice(tmp_path: Path) -> None:
    common, root = common_voice(tmp_path / "cv", "zh-CN"), cvss(tmp_path / "cvss", "zh")
    given = {"root": str(root), "common_voice": str(common), "languages": ["zh"]}
    manifest = build(tmp_path, "cvss", **given)
    first = manifest.rows[0]
    assert (first.id, first.split, first.speaker, first.source) == ("zh_en/cv_train", "train", "anne", "cvss-c")
    assert (first.language, first.text) == ("zh", '"Bonjour", dit train.')
    assert (first.target_language, first.target_text) == ("en", "hello says train")
    assert manifest.audio(first).sample_rate_hz == 48_000
    assert manifest.target_audio(first).sample_rate_hz == 24_000
    check_kit(tmp_path, "cvss", **given)
    write_table(root / "cvss_c_zh_en_v1.0" / "dev.tsv", ("cv_new.mp3", "from another release"))
    os.unlink(root / "cvss_c_zh_en_v1.0" / "test" / "cv_test.mp3.wav")
    fewer = build(tmp_path, "cvss", **given)
    assert [row.id for row in fewer.rows] == ["zh_en/cv_train"]
    assert [message.partition(" (")[0] for message in fewer.skipped] == [
        "1 x not in validated.tsv of Common Voice",
        "1 x the recording is missing or empty",
    ]


# ------------------------------------------------------------------------------------------------------ other corpora


def test_voxpopuli_leaves_empty_texts_out(tmp_path: Path) -> None:
    folder = tmp_path / "vp" / "transcribed_data" / "fr"
    names = {"train": ("2010-a-fr_1", "2010-a-fr_2"), "dev": ("2011-b-fr_1",), "test": ("2012-c-fr_1",)}
    for split, ids in names.items():
        rows = [(name, f"Merci, {name}!", "" if name.endswith("2") else "merci", "None", split, "male") for name in ids]
        header = ("id", "raw_text", "normalized_text", "speaker_id", "split", "gender")
        write_table(folder / f"asr_{split}.tsv", header, *rows)
        for name in ids:
            speak(folder / name[:4] / f"{name}.ogg")
    given = {"root": str(tmp_path / "vp"), "languages": ["fr"]}
    manifest = build(tmp_path, "voxpopuli", **given)
    assert [row.id for row in manifest.rows] == ["fr/2010-a-fr_1", "fr/2011-b-fr_1", "fr/2012-c-fr_1"]
    assert manifest.skipped == (f"1 x normalized_text is empty (first: {folder / 'asr_train.tsv'}:3)",)
    first = manifest.rows[0]
    assert (first.text, first.speaker, first.extra) == ("merci", None, {"gender": "male"})
    assert manifest.audio(first).sample_rate_hz == 16_000
    raw = build(tmp_path, "voxpopuli", **given, text="raw_text")
    assert raw.rows[1].text == "Merci, 2010-a-fr_2!" and raw.skipped == ()


def fleurs(root: Path) -> Path:
    """Write two languages: sentence 7 was recorded twice in French, sentence 8 only in French."""
    recordings = {"fr_fr": (("7", "f1"), ("7", "f2"), ("8", "f3")), "cmn_hans_cn": (("7", "c1"), ("9", "c2"))}
    for language, named in recordings.items():
        for split in ("train", "dev", "test"):
            rows = [
                (sentence, f"{name}.wav", f'"{language}" {sentence}.', f"{language} {sentence}", "", "3200", "FEMALE")
                for sentence, name in named
            ]
            write_table(root / language / f"{split}.tsv", *rows)
            for _, name in named:
                speak(root / language / "audio" / split / f"{name}.wav")
    return root


def test_fleurs_has_one_row_for_each_recording(tmp_path: Path) -> None:
    root = fleurs(tmp_path / "fleurs")
    manifest = build(tmp_path, "fleurs", root=str(root), languages=["fr_fr"], text="transcription")
    assert [row.id for row in manifest.rows[:3]] == ["fr_fr/train/f1", "fr_fr/train/f2", "fr_fr/train/f3"]
    assert len(manifest.rows) == 9 and manifest.skipped == ()
    first = manifest.rows[0]
    assert (first.text, first.language, first.target_text) == ("fr_fr 7", "fr", None)
    assert first.extra == {"sentence": "7", "gender": "female"}


def test_fleurs_translates_between_any_two_languages(tmp_path: Path) -> None:
    root = fleurs(tmp_path / "fleurs")
    both = ["fr_fr", "cmn_hans_cn"]
    manifest = build(tmp_path, "fleurs", root=str(root), languages=both, targets=both, splits=["train"])
    assert [(row.id, row.target_audio) for row in manifest.rows] == [
        ("fr_fr-cmn_hans_cn/train/f1", "cmn_hans_cn/audio/train/c1.wav"),
        ("fr_fr-cmn_hans_cn/train/f2", "cmn_hans_cn/audio/train/c1.wav"),
        ("cmn_hans_cn-fr_fr/train/c1", "fr_fr/audio/train/f1.wav"),
    ]
    first = manifest.rows[0]
    assert (first.target_language, first.target_text) == ("zh", '"cmn_hans_cn" 7.')
    assert manifest.target_audio(first).sample_rate_hz == 16_000
    assert [message.partition(" (")[0] for message in manifest.skipped] == [
        "1 x the sentence was not recorded in cmn_hans_cn in this split",
        "1 x the sentence was not recorded in fr_fr in this split",
    ]
    with pytest.raises(InvalidConfig, match="fr_fr is not translated into itself"):
        part("fleurs", root=str(root), languages=["fr_fr"], targets=["fr_fr"])


@pytest.mark.parametrize(("format", "folder"), [("flac", "mls_french"), ("opus", "mls_french_opus")])
def test_mls(tmp_path: Path, format: str, folder: str) -> None:
    for number, split in enumerate(("train", "dev", "test")):
        write_table(
            tmp_path / folder / split / "transcripts.txt", (f"10_20_00000{number}", "bonjour"), ("strange", "merci")
        )
        speak(tmp_path / folder / split / "audio" / "10" / "20" / f"10_20_00000{number}.{format}")
    manifest = build(tmp_path, "mls", root=str(tmp_path), languages=["fr"], format=format)
    first = manifest.rows[0]
    assert (first.id, first.speaker, first.text, first.language) == ("fr/10_20_000000", "10", "bonjour", "fr")
    assert [row.split for row in manifest.rows] == ["train", "validation", "test"]
    assert manifest.audio(first).seconds == pytest.approx(0.2, abs=0.05)
    assert manifest.skipped[0].startswith("3 x the id is not SPEAKER_BOOK_NUMBER")


def test_librispeech(tmp_path: Path) -> None:
    for subset, speaker in {"train-clean-100": "19", "test-other": "84"}.items():
        folder = tmp_path / subset / speaker / "7"
        speak(folder / f"{speaker}-7-0000.flac")
        (folder / f"{speaker}-7.trans.txt").write_text(f"{speaker}-7-0000 GOOD MORNING\n{speaker}-7-0001 \n")
    given = {"root": str(tmp_path), "subsets": ["train-clean-100", "test-other"]}
    manifest = build(tmp_path, "librispeech", **given)
    assert [(row.id, row.text, row.speaker, row.split, row.source) for row in manifest.rows] == [
        ("19-7-0000", "GOOD MORNING", "19", "train", "train-clean-100"),
        ("84-7-0000", "GOOD MORNING", "84", "test", "test-other"),
    ]
    assert manifest.skipped[0].startswith("2 x the text is empty")
    assert build(tmp_path, "librispeech", **given, case="lower").rows[0].text == "good morning"
    with pytest.raises(InvalidConfig, match=r"train-clean-360: no such .*: subsets=\[train-clean-100,test-other\]"):
        build(tmp_path, "librispeech", root=str(tmp_path))


# ------------------------------------------------------------------------------------------------- your own recordings


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


def test_the_lines_of_the_page_on_data_are_valid() -> None:
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\|.*?\| `data: (\{.*\})` \|", page, flags=re.MULTILINE)
    named = {resolve(REGISTRY, Kind.DATASET, yaml.safe_load(line), role="data").name for line in lines}
    assert named == {c.name for c in areca_corpora.areca_components()}


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


def test_a_run_is_trained_on_a_corpus(tmp_path: Path) -> None:
    root = fleurs(tmp_path / "fleurs")
    data = {"name": "fleurs", "root": root.name, "languages": ["fr_fr"], "targets": ["cmn_hans_cn"]}
    config = RUN | {"data": data, "tokenizer": {"name": "mfcc-kmeans", "clusters": 4}}
    pipeline = Pipeline(parse_config(config, root=tmp_path), Store(tmp_path / "store"))
    with pytest.warns(ArecaWarning, match="3 x the sentence was not recorded in cmn_hans_cn"):
        assert pipeline.data().key == pipeline.data_key
    tables = pipeline.tables()
    ids = [row.id for row in pipeline.data().rows if row.split == "train"]
    assert all(sorted(table) == sorted(ids) for table in tables.values())
    assert {wanted.column for wanted in tables} == {"audio", "target_audio"}


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
