"""Common Voice and the corpora that translate it, each in a tiny copy in its own layout."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from tests.corpora import build, check_kit, part, speak, write_table
from typer.testing import CliRunner

from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.cli.app import app
from areca.errors import ArecaWarning, InvalidAudio, InvalidConfig, InvalidManifest

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


def test_the_artifact_holds_no_audio(tmp_path: Path) -> None:
    root = common_voice(tmp_path / "cv")
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
