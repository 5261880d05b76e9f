"""A language model that reads the codes of one tokenizer and writes those of another, from YAML to audio."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests import parts

import areca
from areca.artifacts.store import Store
from areca.artifacts.tokens import TokenTable
from areca.pipeline.pipeline import Pipeline
from areca.run.config import parse_config
from areca.system import System

CLUSTERS = 16
LEVELS = 2
RUN = {
    "name": "two-roles",
    "data": "corpus/manifest.jsonl",
    "tokenizers": {
        "speech": {"name": "mfcc-kmeans", "clusters": CLUSTERS},
        "sound": {"name": "mel-rvq", "levels": LEVELS, "clusters": 8, "frame_rate_hz": 25, "phase_iterations": 2},
    },
    "lm": {"reads": "speech", "writes": "sound", "init": "normal"},
    "vocoder": {"name": "codec-decoder", "tokenizer": "sound"},
    "backbone": parts.tiny_decoder(context=1024),
    "tasks": ["s2st", "asr", {"chain": ["asr", "ast", "s2st"]}],
    "training": {"steps": 8, "batch_tokens": 2048, "longest_tokens": 800, "optimizer": "adamw", "learning_rate": 1e-2},
}


@pytest.fixture(scope="module")
def pipeline(root: Path) -> Pipeline:
    return Pipeline(parse_config(RUN, root=root), Store(root / "store"))


@pytest.fixture(scope="module")
def system(pipeline: Pipeline) -> System:
    return areca.load(pipeline.checkpoint().directory)


def test_each_side_is_encoded_by_its_own_tokenizer(pipeline: Pipeline) -> None:
    tables = pipeline.tables()
    assert set(tables) == {(TokenTable, "speech", "audio"), (TokenTable, "sound", "target_audio")}
    streams = {wanted.role: {len(table[row].streams) for row in table} for wanted, table in tables.items()}
    assert streams == {"speech": {1}, "sound": {LEVELS}}


def test_prompts_hold_what_it_reads_and_answers_what_it_writes(pipeline: Pipeline, system: System) -> None:
    vocabulary = system.lm.vocabulary
    assert vocabulary.streams == (("sound/0", 8), ("sound/1", 8), ("speech/0", CLUSTERS))
    sound, speech = {*vocabulary.span("sound/0"), *vocabulary.span("sound/1")}, {*vocabulary.span("speech/0")}
    row = pipeline.data().select(split="train").rows[0]
    for task in [pipeline.rows_of(mix, "train") for mix in pipeline.run.tasks]:
        example = task.encode(system.lm, row)
        prompt, answer = ({*ids.tolist()} for ids in example.ids.tensor_split([example.prompt_length]))
        assert prompt & speech and not prompt & sound, task.name
        assert bool(answer & sound) == ("s2st" in task.name) and not answer & speech, task.name


@pytest.mark.parametrize("task", ["s2st", "asr+ast+s2st"])
def test_it_answers_in_the_sound_of_the_codec_that_it_writes(task: str, system: System, root: Path) -> None:
    sounds = [root / "corpus" / f"{i}-fr.wav" for i in range(2)]
    short = {"max_text_ids": 16, "max_audio_frames": 40}
    for result in system.run(task, sounds, source="French", target="English", decoding=short):
        assert result.codes is not None and result.audio is not None
        frames = {len(stream) for stream in result.codes.streams}
        assert len(result.codes.streams) == LEVELS and len(frames) == 1
        samples = result.audio.samples
        assert samples.isfinite().all() and samples.abs().max() > 0
        assert result.audio.sample_rate_hz == 16_000
        assert result.audio.seconds == pytest.approx(frames.pop() / 25, abs=0.05)
        [decoded] = system.vocoder.decoder.decode([result.codes])
        assert torch.equal(samples, decoded.samples)
