"""A stream pattern and a decoding method from one local file, in training, in a checkpoint and in generation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from tests import parts

import areca
from areca.artifact import META, Artifact, seal
from areca.artifacts.checkpoint import open_checkpoint
from areca.artifacts.store import Store
from areca.errors import InvalidArtifact, InvalidConfig, UnknownComponent
from areca.evaluation.inputs import open_inputs
from areca.interfaces import silent
from areca.pipeline.pipeline import Pipeline
from areca.run.config import read_config
from areca.system import System

MINE = '''
from dataclasses import dataclass

from areca import Component, Kind, hookimpl
from areca.patterns import OrderOptions
from areca.specs import DecodingSpec, PatternSpec

ARECA_PLUGIN_API = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks(OrderOptions):
    stride: int = 1
    """Frames of a stream that come together."""

    def sequence(self, per_frame, frames):
        blocks = [min(self.stride, frames - start) for start in range(0, frames, self.stride)]
        return [k for length in blocks for k, n in enumerate(per_frame) for _ in range(n * length)]

    def turn(self, per_frame, frames):
        whole, rest = divmod(frames, self.stride)
        return whole * self.stride * sum(per_frame) + rest * per_frame[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    window: int = 2
    """Ids that are not repeated."""


def pattern_spec(config, needs):
    return PatternSpec(config)


def decoding_spec(config, needs):
    return DecodingSpec()


class NoRepeat:
    def __init__(self, config):
        self.window = config.window

    @classmethod
    def load(cls, config, needs, files, *, device, dtype):
        return cls(config)

    def search(self, rules, prompts, generator):
        from areca.generation.decoding import step_by_step

        return step_by_step(rules, prompts, self.pick, generator)

    def pick(self, logits, growing):
        for row, one in zip(logits, growing, strict=True):
            for i in one.cursor.ids[-self.window:]:
                if (column := one.cursor.allowed.column(i)) is not None and len(row) > self.window:
                    row[column] = -float("inf")
        return logits.argmax(-1).tolist()


@hookimpl
def areca_components():
    yield Component(kind=Kind.PATTERN, name="blocks", summary="blocks of frames", config=Blocks,
                    spec=f"{__name__}:pattern_spec", target=f"{__name__}:Blocks", revision=1)
    yield Component(kind=Kind.DECODING, name="no-repeat", summary="never an id twice in a row", config=Config,
                    spec=f"{__name__}:decoding_spec", target=f"{__name__}:NoRepeat", requires=("torch",))
'''
RUN = {
    "name": "own",
    "plugins": ["./my_methods.py"],
    "data": "corpus/manifest.jsonl",
    "tokenizer": {"name": "mel-rvq", "levels": 2, "clusters": 8, "frame_rate_hz": 25, "phase_iterations": 2},
    "lm": {"pattern": {"name": "blocks", "stride": 3}, "init": "normal"},
    "vocoder": {"name": "codec-decoder", "tokenizer": "speech"},
    "backbone": parts.tiny_decoder(context=1024),
    "tasks": ["s2st"],
    "training": {"steps": 2, "batch_tokens": 2048, "longest_tokens": 900, "optimizer": "adamw"},
    "evaluation": {"decoding": {"name": "no-repeat", "window": 3, "max_audio_frames": 9}, "split": "train", "limit": 1},
}


@pytest.fixture(scope="module")
def recipe(root: Path) -> Path:
    (root / "my_methods.py").write_text(MINE)
    (root / "run.yaml").write_text(yaml.safe_dump(RUN))
    return root / "run.yaml"


@pytest.fixture(scope="module")
def pipeline(recipe: Path) -> Pipeline:
    return Pipeline(read_config(recipe), Store(recipe.parent / "store"))


@pytest.fixture(scope="module")
def checkpoint(pipeline: Pipeline) -> Path:
    return pipeline.checkpoint().directory


@pytest.fixture(scope="module")
def system(checkpoint: Path, recipe: Path) -> System:
    return areca.load(checkpoint, plugins=[str(recipe.parent / "my_methods.py")])


def test_the_examples_are_in_the_patterns_order(pipeline: Pipeline, system: System) -> None:
    [mix] = pipeline.run.tasks
    rows = pipeline.rows_of(mix, "train")
    example = rows.encode(system.lm, pipeline.data().select(split="train").rows[0])
    body = example.ids[example.prompt_length + 1 : example.prompt_length + 13].tolist()
    spans = [system.lm.vocabulary.span(f"speech/{k}") for k in (0, 1)]
    assert [next(k for k, span in enumerate(spans) if i in span) for i in body] == [0, 0, 0, 1, 1, 1] * 2


def test_answers_follow_pattern_and_method(system: System, root: Path) -> None:
    sounds = [root / "corpus" / f"{i}-fr.wav" for i in range(2)]
    how = {"name": "no-repeat", "window": 2, "max_audio_frames": 7}
    alone = [system.run("s2st", sound, source="fr", target="en", decoding=how) for sound in sounds]
    together = system.run("s2st", sounds, source="fr", target="en", decoding=how)
    for one, other in zip(alone, together, strict=True):
        codes = [stream.tolist() for stream in one.codes.streams]
        assert codes == [stream.tolist() for stream in other.codes.streams]
        ids = system.lm.writes.encode(one.codes)
        assert 1 <= len(codes[0]) <= 7
        assert all(a not in (b, c) for a, b, c in zip(ids, ids[1:], ids[2:], strict=False))
    with pytest.raises(InvalidConfig, match="decoding, no-repeat: no option is called 'windw'; did you mean 'window'"):
        system.run("s2st", sounds, source="fr", target="en", decoding={"name": "no-repeat", "windw": 2})


def test_an_evaluation_decodes_by_it(pipeline: Pipeline, checkpoint: Path, tmp_path: Path) -> None:
    opened = open_inputs(pipeline, None, {}, plugins=(), device="cpu", stage=silent)
    opened.evaluate(tmp_path, device="cpu", stage=silent)
    said = json.loads((tmp_path / "evaluation.json").read_text())["decoding"]
    assert said["component"] == "decoding:local:my_methods/no-repeat"
    assert (said["config"], said["limits"]["max_audio_frames"]) == ({"window": 3}, 9)
    assert len(said["code"]) == 64  # of the file: research changes it without raising its revision


def test_the_checkpoint_names_the_pattern(checkpoint: Path) -> None:
    layout = json.loads((checkpoint / "lm" / "vocabulary.json").read_text())
    expected = {"component": "local:my_methods/blocks", "revision": 1, "options": {"stride": 3}}
    assert layout["layouts"]["speech"]["pattern"] == expected
    config = yaml.safe_load((checkpoint / "config.yaml").read_text())
    assert config["lm"]["pattern"] == {"name": "blocks", "stride": 3}
    provenance = json.loads((checkpoint / "provenance.json").read_text())
    assert provenance["parts"]["lm.pattern"]["component"] == "local:my_methods/blocks"


def test_without_the_plugin_the_checkpoint_says_what_to_type(checkpoint: Path) -> None:
    with pytest.raises(UnknownComponent, match=r"no pattern is called 'blocks'[\s\S]*areca -p \./my_methods\.py"):
        open_checkpoint(checkpoint)


def _copy(checkpoint: Path, folder: Path, change: str, **values: object) -> Path:
    """Return a copy of a checkpoint whose pattern's provenance says something else."""
    shutil.copytree(checkpoint, folder)
    path = folder / "provenance.json"
    provenance = json.loads(path.read_text())
    provenance["parts"][change] |= values
    path.write_text(json.dumps(provenance))
    old = Artifact.open(folder, verify=False)
    (folder / META).unlink()
    seal(folder, old.key, old.inputs, old.label)
    return folder


def test_a_missing_distribution_is_named(checkpoint: Path, tmp_path: Path) -> None:
    changed = _copy(checkpoint, tmp_path / "x", "lm.pattern", distribution="areca-acme-lab", version="1.2")
    with pytest.raises(UnknownComponent, match=r"made with areca-acme-lab==1\.2: pip install areca-acme-lab==1\.2\n"):
        open_checkpoint(changed)
    evil = _copy(checkpoint, tmp_path / "y", "lm.pattern", distribution="x; rm -rf ~", version="1.2")
    with pytest.raises(UnknownComponent) as raised:
        open_checkpoint(evil)
    assert "rm -rf" not in str(raised.value)


def test_another_revision_is_refused(checkpoint: Path, recipe: Path, tmp_path: Path) -> None:
    changed = _copy(checkpoint, tmp_path / "x", "lm.pattern", revision=3)
    with pytest.raises(InvalidArtifact, match=r"its lm\.pattern was made by revision 3 of local:my_methods/blocks"):
        areca.load(changed, plugins=[str(recipe.parent / "my_methods.py")])


def test_a_pattern_is_refused_before_any_work(recipe: Path) -> None:
    for value, error, message in (
        ("blokcs", UnknownComponent, "no pattern is called 'blokcs'; did you mean 'blocks'"),
        ("{name: blocks, strid: 2}", InvalidConfig, "pattern 'blocks': no option is called 'strid'; did you mean"),
        ("[delay]", InvalidConfig, r"pattern 'lm.pattern': expected '{name: ...}', got \['delay'\]"),
    ):
        with pytest.raises(error, match=message.replace("{", r"\{")):
            read_config(recipe, [f"lm.pattern={value}"])
