"""Tasks whose fields name roles and streams, from YAML to audio: a voice prompt, and the stages of AudioLM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import areca
from areca.artifacts.store import Store
from areca.errors import InvalidConfig
from areca.evaluation.answering import answer_rows, open_answer_journal
from areca.evaluation.prompting import Prompting
from areca.fields import Field
from areca.fitting.text_lm.llama import build_textless_backbone
from areca.generation.generate import generate
from areca.lm.model import SpeechLM
from areca.lm.vocabulary import Control
from areca.pipeline.pipeline import Pipeline
from areca.registry.registry import Registry
from areca.run.config import RunConfig, parse_config
from areca.run.decoding import resolve_decoding
from areca.run.options import EvaluationConfig
from areca.specs import Stream
from areca.system import System
from areca.tasks import AudioSegment, Task
from areca.testing.tiny import load_choice
from areca.types import Codes

LEVELS = 4
SPEECH = {"path": "source.audio", "role": "speech"}
COARSE = {"path": "source.audio", "role": "sound", "streams": [0, 2]}
FINE = {"path": "source.audio", "role": "sound", "streams": [2, 4]}
STAGE_1 = {"name": "fields", "as": "coarse", "tag": "COARSE", "inputs": [SPEECH], "outputs": [COARSE], "format": ""}
STAGE_2 = {"name": "fields", "as": "fine", "tag": "FINE", "inputs": [COARSE], "outputs": [FINE], "format": ""}
VOICED = {
    "name": "fields",
    "tag": "TTS",
    "inputs": ["source.text", {"path": "voice.audio", "role": "sound", "streams": [0, 1], "crop_s": 0.4}],
    "outputs": ["source.audio"],
}
BACKBONE = {
    "name": "decoder",
    "layers": 1,
    "width": 16,
    "feed_forward": 32,
    "heads": 2,
    "kv_heads": 2,
    "vocabulary_size": 280,
    "context": 1024,
}


def configure(root: Path, tasks: list[Any], **lm: Any) -> RunConfig:
    sound = {"name": "mel-rvq", "levels": LEVELS, "clusters": 8, "frame_rate_hz": 25, "phase_iterations": 2}
    steps = {"steps": 6, "batch_tokens": 2048, "longest_tokens": 800, "optimizer": "adamw", "learning_rate": 1e-2}
    source = {
        "name": "stages",
        "data": "corpus/manifest.jsonl",
        "tokenizers": {"speech": {"name": "mfcc-kmeans", "clusters": 16}, "sound": sound},
        "lm": {"reads": "speech", "writes": "sound", "init": "normal", **lm},
        "vocoder": {"name": "codec-decoder", "tokenizer": "sound"},
        "backbone": BACKBONE,
        "tasks": tasks,
        "training": steps,
    }
    return parse_config(source, root=root)


@pytest.fixture(scope="module", params=["flatten", "parallel-delay"])
def stages(root: Path, request: pytest.FixtureRequest) -> Pipeline:
    tasks = [STAGE_1, STAGE_2, {"chain": [STAGE_1, STAGE_2]}]
    return Pipeline(configure(root, tasks, pattern=request.param, heads="depth"), Store(root / "store"))


@pytest.fixture(scope="module")
def system(stages: Pipeline) -> System:
    return areca.load(stages.checkpoint().directory)


def spans(system: System, role: str, streams: range) -> set[int]:
    return {i for k in streams for i in system.lm.vocabulary.span(f"{role}/{k}")}


def test_stages_read_and_write_the_streams_that_they_name(stages: Pipeline, system: System) -> None:
    v, row = system.lm.vocabulary, stages.data().select(split="train").rows[0]
    controls = {v.control(control) for control in Control}
    speech, coarse, fine = (
        spans(system, *x) for x in (("speech", range(1)), ("sound", range(2)), ("sound", range(2, 4)))
    )
    expected = [(speech, coarse), (coarse, fine), (speech, coarse | fine)]
    for mix, (read, written) in zip(stages.run.tasks, expected, strict=True):
        example = stages.rows_of(mix, "train").encode(system.lm, row)
        first = int(example.steps.widths[: example.prompt_length].sum())
        prompt, answer = ({*ids.tolist()} - controls for ids in (example.ids[:first], example.ids[first:]))
        assert prompt and prompt <= read, mix.name  # no text at all
        assert answer and answer <= written, mix.name
        assert bool(answer & coarse) == ("coarse" in mix.name)


def test_every_code_of_a_part_is_in_the_loss(stages: Pipeline, system: System) -> None:
    row = stages.data().select(split="train").rows[0]
    rows = stages.rows_of(stages.run.tasks[1], "train")
    example = rows.encode(system.lm, row)
    grid = example.steps.grid(system.lm.slots)[None]
    batch = {"ids": grid, "target": example.target[None]}
    losses = system.lm(batch)
    codes = sum(len(x) for x in rows.tables["sound", "audio"][row.id].streams[2:4])
    # The codes, the beginning and the end of audio, and the end of the sequence.
    assert len(losses.nats) == system.lm.count_targets(batch) == codes + 3


def answer_of(system: System, sound: Path, task: str, **decoding: Any) -> Any:
    return system.run(task, [sound], decoding={"max_audio_frames": 12, **decoding})[0]


def test_a_chain_of_stages_is_spoken_and_has_the_length_of_its_units(system: System, root: Path) -> None:
    sound = root / "corpus" / "0-fr.wav"
    result = answer_of(system, sound, "coarse+fine", frames_like="source.audio:speech")
    spec = system.run_config.tokenizers["speech"].spec
    [units] = system.tokenizer.encode([areca.audio.conform(areca.audio.read(sound), spec.sample_rate_hz, 1)])
    frames = len(units.streams[0])
    assert not result.cut and result.audio is not None
    assert [len(x) for x in result.codes.streams] == [frames] * LEVELS
    assert frames > 12  # an exact length overrides the limit
    [decoded] = system.vocoder.decoder.decode([result.codes])
    assert torch.equal(result.audio.samples, decoded.samples)
    free = answer_of(system, sound, "coarse+fine")
    assert len({len(x) for x in free.codes.streams}) == 1 and len(free.codes.streams[0]) <= 12
    with pytest.raises(InvalidConfig, match=r"frames_like: expected an audio input of task COARSE FINE"):
        answer_of(system, sound, "coarse+fine", frames_like="source.audio")


def test_the_fine_stage_completes_the_coarse_codes_of_its_prompt(stages: Pipeline, system: System) -> None:
    task, lm = stages.task(stages.run.tasks[1]), system.lm
    coarse = Codes((torch.arange(7) % 8, torch.arange(7) // 2))
    prompt = lm.prompt(task, {"source.audio:sound[0:2]": coarse})
    method = load_choice("decoding", "greedy")
    [found] = generate(lm, [prompt], task.outputs, method, frames={"source.audio:sound[2:4]": 7})
    [segment] = found.segments
    assert isinstance(segment, AudioSegment) and (segment.role, segment.streams) == ("sound", (2, 4))
    assert [len(x) for x in segment.codes.streams] == [7, 7] and found.cut == (False,)
    assert task.parse(found.segments) == {"source.audio:sound[2:4]": segment.codes}


def test_a_task_has_the_name_that_the_run_gives_it(system: System) -> None:
    assert system.tasks == ("coarse", "fine", "coarse+fine")
    assert [system.task(name).tag for name in system.tasks] == ["COARSE", "FINE", "COARSE FINE"]
    with pytest.raises(InvalidConfig, match="as: expected lowercase words joined by '-', got 'A B'"):
        configure(Path.cwd(), [STAGE_1 | {"as": "A B"}])


def test_an_lm_without_prompt_and_text(stages: Pipeline, system: System) -> None:
    task = Task("FREE", (), (Field("source.audio", "speech"),), format="")
    prompt = system.lm.prompt(task, {})
    assert len(prompt) == 0
    codes = Codes((torch.tensor([1, 2, 3]),))
    example = system.lm.encode(task, {"source.audio:speech": codes})
    assert example.target.tolist() == [False, *[True] * 5]  # nothing predicts the first step, which begins audio
    method = load_choice("decoding", "greedy")
    [found] = generate(system.lm, [prompt], task.outputs, method, frames={"source.audio:speech": 4})
    assert isinstance(found.segments[0], AudioSegment) and len(found.segments[0].codes.streams[0]) == 4


def test_an_lm_needs_no_text(tmp_path: Path) -> None:
    sizes = {"layers": 1, "width": 16, "feed_forward": 32, "heads": 2, "kv_heads": 1, "context": 64}
    backbone = build_textless_backbone(3, **sizes)
    lm = SpeechLM.extend(backbone, {"speech": (Stream("unit", 7, 25.0),)}, init="normal")
    again = SpeechLM.extend(build_textless_backbone(3, **sizes), {"speech": (Stream("unit", 7, 25.0),)}, init="normal")
    assert lm.context == 64 and len(lm.vocabulary.span("speech/0")) == 7
    lm.save(tmp_path)
    loaded = SpeechLM.load(tmp_path, Registry.discover())
    task = Task("FREE", (), (Field("source.audio", "speech"),), format="")
    codes = Codes((torch.tensor([6, 0, 3]),))
    batch = {name: x[None] for name, x in batch_of(loaded, task, codes).items()}
    for one in (again, loaded):
        torch.testing.assert_close(one(batch).nats, lm(batch).nats)


def batch_of(lm: SpeechLM, task: Task, codes: Codes) -> dict[str, torch.Tensor]:
    example = lm.encode(task, {"source.audio:speech": codes})
    return {"ids": example.ids, "target": example.target}


def test_a_voice_prompt_in_another_role_trains_and_runs(root: Path, tmp_path: Path) -> None:
    pipeline = Pipeline(configure(root, [VOICED, "asr"]), Store(root / "store"))
    assert {(wanted.role, wanted.column) for wanted in pipeline.tables()} == {("sound", "audio"), ("speech", "audio")}
    system = areca.load(pipeline.checkpoint().directory)
    row = pipeline.data().select(split="train").rows[0]
    example = pipeline.rows_of(pipeline.run.tasks[0], "train").encode(system.lm, row)
    voice = [i for i in example.ids[: example.prompt_length].tolist() if i in system.lm.vocabulary.span("sound/0")]
    assert len(voice) == 10  # 0.4 s
    sound, other = (root / "corpus" / f"{i}-fr.wav" for i in (1, 2))
    short = {"max_audio_s": 0.2}
    told = [
        system.run("fields", text="un deux", source="French", voice=voice, decoding=short) for voice in (sound, other)
    ]
    for result in told:
        assert result.audio is not None and result.codes is not None
        assert len(result.codes.streams) == LEVELS and len(result.codes.streams[0]) <= 5
    both = system.run("fields", text=["un deux"] * 2, source="French", voice=[sound, other], decoding=short)
    for one, again in zip(told, both, strict=True):
        assert one.codes is not None and again.codes is not None
        assert all(torch.equal(a, b) for a, b in zip(one.codes.streams, again.codes.streams, strict=True))
    with pytest.raises(InvalidConfig, match=r"task TTS: reads a voice prompt: give voice='voice.wav' \(--voice"):
        system.run("fields", text="un", source="French")
    with pytest.raises(InvalidConfig, match="expected one voice, or one for each of 1 items, got 2"):
        system.run("fields", text="un", source="French", voice=[sound, other])
    # In an evaluation, each row has a voice from other rows.
    manifest, journal = pipeline.data(), open_answer_journal(tmp_path / "answers.jsonl")
    config = EvaluationConfig(split="train", decoding={"max_audio_frames": 3})
    decoding = resolve_decoding(system.run_config.registry, config.decoding)
    voices = Prompting(manifest, config, system.takes_voice)
    answer_rows(system, manifest, "fields", manifest.rows[:3], journal, tmp_path, 2, decoding, voices)
    assert [answer.id for answer in journal] == [row.id for row in manifest.rows[:3]]
    assert all((tmp_path / str(answer.audio)).is_file() for answer in journal)
