"""A third party's task in one file: trained in a chain with a first-party task, and used from Python."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests import parts

import areca
from areca.artifacts.store import Store
from areca.errors import UnknownComponent
from areca.manifest import read_manifest, write_manifest
from areca.pipeline.pipeline import Pipeline
from areca.run.config import read_config
from areca.system import System
from areca.tasks import values_of
from areca.testing.corpus import write_corpus

PLUGIN = '''
"""The task `emotion`: how a speaker feels."""

from dataclasses import dataclass

from areca import Component, Kind, hookimpl
from areca.specs import TaskSpec

ARECA_PLUGIN_API = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EmotionConfig:
    """Options of `emotion`: none."""


def spec(config, needs):
    """Return that it reads speech and says what the manifest's `extra` calls the emotion."""
    return TaskSpec(("source.audio",), ("extra.emotion",))


class Emotion:
    """Loads the task."""

    @staticmethod
    def load(config, needs, files, *, device, dtype):
        """Return the task."""
        from areca.tasks import Field, Task

        return Task("EMOTION", (Field("source.audio"),), (Field("extra.emotion"),), languages=())


@hookimpl
def areca_components():
    """Declare `emotion`."""
    yield Component(kind=Kind.TASK, name="emotion", config=EmotionConfig, spec="emotion:spec",
                    target="emotion:Emotion", summary="speech to the speaker's emotion")
'''
RUN: dict[str, Any] = {
    "name": "emotional",
    "plugins": ["./emotion.py"],
    "data": "corpus/emotions.jsonl",
    "tokenizer": {"name": "mfcc-kmeans", "clusters": 16},
    "backbone": parts.tiny_decoder(width=32, feed_forward=64),
    "tasks": [{"chain": ["asr", "emotion"]}, "emotion"],
    "lm": {"init": "normal"},
    "training": {
        "steps": 150,
        "batch_tokens": 1024,
        "longest_tokens": 400,
        "optimizer": "adamw",
        "learning_rate": 5e-3,
    },
}
FEELS = {"low": "calm", "high": "glad"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    rows = write_corpus(directory / "corpus").rows
    felt = [replace(row, extra={"emotion": FEELS[row.speaker]}) for row in rows if row.speaker]
    write_manifest(directory / "corpus" / "emotions.jsonl", felt)
    (directory / "emotion.py").write_text(PLUGIN)
    (directory / "run.yaml").write_text(yaml.safe_dump(RUN))
    return directory


@pytest.fixture(scope="module")
def checkpoint(root: Path) -> Path:
    return Pipeline(read_config(root / "run.yaml"), Store(root / "store")).checkpoint().directory


@pytest.fixture(scope="module")
def system(root: Path, checkpoint: Path) -> System:
    return areca.load(checkpoint, plugins=[str(root / "emotion.py")])


@pytest.fixture(scope="module")
def sounds(root: Path) -> list[Path]:
    return [root / "corpus" / f"{i}-fr.wav" for i in range(28, 32)]


def test_a_chain_with_it_answers_its_field(system: System, sounds: list[Path]) -> None:
    assert system.tasks == ("asr+emotion", "emotion")
    for result in system.run("asr+emotion", sounds, source="French"):
        assert set(result.texts) == {"source.text", "extra.emotion"}
    for result in system.run("emotion", sounds):
        assert result.texts.keys() == {"extra.emotion"}
        assert result.texts["extra.emotion"] in FEELS.values(), "it was trained on these words alone"


def test_the_chain_learns_its_words(system: System, root: Path) -> None:
    manifest = read_manifest(root / RUN["data"])
    row = manifest.rows[-1]
    codes = system.tokenizer.encode([manifest.audio(row)])[0]

    def surprise(word: str) -> float:
        values = values_of(replace(row, extra={"emotion": word}), {"source.audio": codes})
        example = system.lm.encode(system.task("asr+emotion"), values)
        return float(parts.loss(system.lm, example.ids[None], example.target[None])[0])

    with torch.no_grad():
        assert max(map(surprise, FEELS.values())) < min(map(surprise, ("deux", "sour", "")))


def test_its_checkpoint_runs_no_plugin_that_is_not_named(checkpoint: Path) -> None:
    with pytest.raises(UnknownComponent, match=r"no task is called 'emotion'[\s\S]*areca -p \./emotion\.py"):
        areca.load(checkpoint)
