"""A run whose LM reads vectors and writes the codes of a codec, two a step: from the YAML to answers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import areca
from areca.artifact import META, Artifact, seal
from areca.artifacts.store import Store
from areca.artifacts.tokens import TokenTable
from areca.artifacts.vectors import VectorTable
from areca.errors import InvalidArtifact
from areca.generation.generate import generate
from areca.lm.adapter import build_adapter
from areca.pipeline.pipeline import Pipeline, Wanted
from areca.run.config import parse_config
from areca.run.options import Limits
from areca.system import System
from areca.testing.tiny import load_choice

TOKENIZER = {"name": "usm-v2", "width": 16, "layers": 2, "layer": 1, "clusters": 8, "steps": 4, "batch_s": 8.0}
RUN: dict[str, Any] = {
    "name": "vectors",
    "data": "corpus/manifest.jsonl",
    "tokenizers": {
        "speech": TOKENIZER,
        "sound": {"name": "mel-rvq", "levels": 2, "clusters": 8, "frame_rate_hz": 25, "phase_iterations": 2},
    },
    "vocoder": {"name": "codec-decoder", "tokenizer": "sound"},
    "backbone": {"name": "decoder", "layers": 1, "width": 16, "feed_forward": 32, "heads": 2, "kv_heads": 2},
    "tasks": ["asr", "mt", "s2st"],
    "lm": {
        "reads": "speech",
        "writes": "sound",
        "pattern": "parallel",
        "read_as": "features",
        "adapter": {"name": "mlp", "stride": 2},
    },
    "training": {"steps": 6, "batch_tokens": 1024, "longest_tokens": 400, "optimizer": "adamw", "learning_rate": 1e-2},
}


@pytest.fixture(scope="module")
def pipeline(root: Path) -> Pipeline:
    return Pipeline(parse_config(RUN, root=root), Store(root / "store"))


@pytest.fixture(scope="module")
def system(pipeline: Pipeline) -> System:
    return areca.load(pipeline.checkpoint().directory)


def test_inputs_are_vectors_and_outputs_are_codes(pipeline: Pipeline) -> None:
    tables = pipeline.tables()
    assert set(tables) == {
        Wanted(VectorTable, "speech", "audio"),
        Wanted(TokenTable, "sound", "target_audio"),
    }
    assert pipeline.run.tokenizers["speech"].spec.feature_size is None, "posteriors: the corpus decides the size"


def test_a_recording_is_read_as_in_training(pipeline: Pipeline, system: System) -> None:
    table = pipeline.tables()[Wanted(VectorTable, "speech", "audio")]
    row = pipeline.data().select(split="train").rows[0]
    sound = pipeline.data().audio(row)
    task = system.task("asr")
    [request] = system._reader.read(task, [sound], [None])
    found, expected = (
        system.lm.prompt(task, {"source.language": row.language or "", "source.audio": value})
        for value in (request.values["source.audio"], table[row.id])
    )
    assert found.ids.tolist() == expected.ids.tolist() and found.vectors is not None and expected.vectors is not None
    assert found.vectors.shape == expected.vectors.shape == (-(-len(table[row.id]) // 2), system.lm.vector_width)
    assert (found.vectors - expected.vectors).abs().max() < 2e-3
    [answer] = generate(system.lm, [found], task.outputs, load_choice("decoding", "greedy"), Limits(max_text_ids=8))
    result = system.run("asr", sound, source=row.language, decoding={"max_text_ids": 8})
    assert result.texts["source.text"] == answer.segments[0].text  # type: ignore[union-attr]


def test_it_answers_speech_and_text(system: System, root: Path) -> None:
    sounds = [root / "corpus" / f"{i}-fr.wav" for i in range(3)]
    short = {"max_text_ids": 8, "max_audio_frames": 12}
    together = system.run("s2st", sounds, source="French", target="English", decoding=short)
    alone = [system.run("s2st", sound, source="French", target="English", decoding=short) for sound in sounds[:2]]
    for one, other in zip(together, alone, strict=False):
        assert one.codes is not None and other.codes is not None
        assert one.codes.streams[0].tolist() == other.codes.streams[0].tolist()
    assert system.run("mt", text="un", source="French", target="English", decoding=short).texts


def test_the_adapter_is_trained(pipeline: Pipeline, system: System) -> None:
    assert system.lm.layout.vectors is not None
    before = build_adapter(system.lm.layout.vectors, system.lm.model, pipeline.run.seed)
    assert system.lm.adapter is not None
    trained = dict(system.lm.adapter.named_parameters())
    assert all((trained[name] != p).any() for name, p in before.named_parameters())


@pytest.mark.parametrize("change", [{"read_as": "units"}, {"adapter": {"name": "mlp", "stride": 3}}])
def test_a_checkpoint_whose_run_reads_otherwise_is_refused(
    change: dict[str, Any], system: System, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(system.checkpoint.directory, copy)
    source = yaml.safe_load((copy / "config.yaml").read_text())
    (copy / "config.yaml").write_text(yaml.safe_dump(source | {"lm": source["lm"] | change}))
    known = Artifact.open(copy, verify=False)
    (copy / META).unlink()
    seal(copy, known.key, known.inputs, known.label)
    with pytest.raises(InvalidArtifact, match=r"its run has lm\.read_as: .*, the LM was trained with"):
        areca.load(copy)
