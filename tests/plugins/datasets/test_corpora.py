"""VoxPopuli, FLEURS and the LibriVox corpora, each in a tiny copy in its own layout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests import ROOT
from tests.core.test_run import RUN
from tests.corpora import REGISTRY, build, part, speak, write_table

import areca_corpora
from areca import Kind
from areca.artifacts.store import Store
from areca.errors import ArecaWarning, InvalidConfig
from areca.pipeline.pipeline import Pipeline
from areca.registry.parts import resolve
from areca.run.config import parse_config


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


def test_the_lines_of_the_page_on_data_are_valid() -> None:
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\|.*?\| `data: (\{.*\})` \|", page, flags=re.MULTILINE)
    named = {resolve(REGISTRY, Kind.DATASET, yaml.safe_load(line), role="data").name for line in lines}
    assert named == {c.name for c in areca_corpora.areca_components()}
