"""A checkpoint in use, from Python and on the command line."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import warnings
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from tests import parts
from tests.warm import Warm
from typer.testing import CliRunner

import areca
from areca import audio
from areca.artifacts.store import Store
from areca.cli.app import app
from areca.errors import ArecaError, ArecaWarning, InvalidAudio, InvalidConfig, UnknownComponent
from areca.evaluation.evaluate import evaluate
from areca.evaluation.examples import Scorers
from areca.evaluation.inputs import open_inputs
from areca.evaluation.scoring import open_metrics, open_normaliser
from areca.interfaces import Progress, no_progress
from areca.manifest import read_manifest
from areca.options import build
from areca.pipeline.pipeline import Pipeline
from areca.run.config import parse_config
from areca.run.decoding import resolve_decoding
from areca.run.options import EvaluationConfig, InputConfig
from areca.system import Result, System
from areca.types import Audio

RUN = {
    "name": "tiny",
    "data": "corpus/manifest.jsonl",
    "tokenizer": {"name": "mfcc-kmeans", "clusters": 16},
    "backbone": parts.tiny_decoder(context=512),
    "vocoder": {"name": "unit-mel", "steps": 2, "width": 8, "layers": 1, "batch": 4, "phase_iterations": 2},
    "tasks": ["asr", "s2st", {"name": "tts", "side": "target"}, "mt", {"chain": ["asr", "ast", "s2st"]}],
    "lm": {"init": "normal"},
    "training": {"steps": 2, "batch_tokens": 1024, "longest_tokens": 400, "optimizer": "adamw"},
}
VOICED = """
from dataclasses import dataclass

import torch

from areca import Component, Kind, hookimpl
from areca.specs import VocoderSpec
from areca.types import Audio

ARECA_PLUGIN_API = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    pass


def spec(config, needs):
    return VocoderSpec(needs["tokenizer"].streams, 16_000)


class Voiced:
    @staticmethod
    def load(config, needs, files, *, device, dtype):
        return Voiced()

    def synthesize(self, codes, voices, *, generator):
        return [self._speak(640 * len(c.streams[0]), v) for c, v in zip(codes, voices, strict=True)]

    def _speak(self, length, prompt):
        voice = Audio(torch.full((1, 100), 0.25), 16_000) if prompt is None else prompt.audio
        return Audio(voice.samples.repeat(1, length // voice.samples.shape[1] + 1)[:, :length], voice.sample_rate_hz)


@hookimpl
def areca_components():
    yield Component(kind=Kind.VOCODER, name="voiced", summary="says the voice prompt itself", config=Config,
                    spec="voiced:spec", target="voiced:Voiced", needs={"tokenizer": Kind.TOKENIZER},
                    tags=frozenset({"voice"}))
"""


@pytest.fixture(scope="module")
def checkpoint(root: Path) -> Path:
    return Pipeline(parse_config(RUN, root=root), Store(root / "store")).checkpoint().directory


@pytest.fixture(scope="module")
def system(checkpoint: Path) -> System:
    return areca.load(checkpoint)


@pytest.fixture(scope="module")
def voiced(root: Path) -> tuple[Path, Path]:
    """A checkpoint whose vocoder takes a voice, and the file of that vocoder; the rest is the other checkpoint's."""
    (root / "voiced.py").write_text(VOICED)
    run = parse_config(RUN | {"plugins": ["./voiced.py"], "vocoder": {"name": "voiced"}}, root=root)
    return Pipeline(run, Store(root / "store")).checkpoint().directory, root / "voiced.py"


@pytest.fixture(scope="module")
def french(root: Path) -> list[Path]:
    return [root / "corpus" / f"{i}-fr.wav" for i in range(3)]


def test_tasks_are_those_it_was_trained_for(system: System) -> None:
    assert system.tasks == ("asr", "s2st", "tts", "mt", "asr+ast+s2st")


def test_the_task_with_the_most_outputs_is_the_default(system: System, checkpoint: Path) -> None:
    assert system.fullest_task("audio") == "asr+ast+s2st"
    assert system.fullest_task("text") in ("mt", "tts")
    with pytest.raises(InvalidConfig, match="no task of this checkpoint reads only video; name one of asr, s2st"):
        system.fullest_task("video")


def test_one_recording_gives_one_answer_and_a_list_a_list(system: System, french: list[Path]) -> None:
    one = system.run("asr", french[0], source="French")
    many = system.run("asr", french, source="fr")
    assert isinstance(one.transcript, str) and one.audio is None and one.translation is None
    assert [r.name for r in many] == [str(path) for path in french]
    assert many[0].transcript == one.transcript
    assert all(r.seconds > 0 for r in many)


def test_a_chain_gives_transcript_translation_and_speech(system: System, french: list[Path]) -> None:
    result = system.run("asr,ast,s2st", french[0], source="French", target="English")
    assert result.task == "asr+ast+s2st"
    assert set(result.texts) == {"source.text", "target.text"}
    assert result.audio is not None and result.audio.sample_rate_hz == 16_000
    assert result.codes is not None
    assert result.audio.seconds == pytest.approx(len(result.codes.streams[0]) / 25, abs=0.1)


def test_a_batch_gives_the_answers_of_single_recordings(system: System, french: list[Path]) -> None:
    alone = [system.run("s2st", path, source="fr", target="en") for path in french]
    together = system.run("s2st", french, source="fr", target="en")
    for a, b in zip(alone, together, strict=True):
        assert torch.equal(a.codes.streams[0], b.codes.streams[0])


def test_any_rate_and_channel_count_is_the_same_recording(system: System, french: list[Path], tmp_path: Path) -> None:
    mono = audio.read(french[0])
    higher = audio.conform(mono, 44_100, 2)
    audio.write(tmp_path / "stereo.flac", higher)
    spec = system.run_config.tokenizers["speech"].spec
    expected = system.tokenizer.encode([mono])[0].streams[0]
    back = audio.conform(audio.read(tmp_path / "stereo.flac"), spec.sample_rate_hz, spec.channels)
    found = system.tokenizer.encode([back])[0].streams[0]
    assert (found[: len(expected)] == expected[: len(found)]).float().mean() > 0.9
    assert isinstance(system.run("asr", higher, source="fr").transcript, str)


def test_text_in(system: System) -> None:
    assert set(system.run("mt", text="deux trois", source="fr", target="en").texts) == {"target.text"}
    spoken = system.run("tts", text=["one", "two"], source="English")
    assert [r.name for r in spoken] == ["one", "two"]
    assert all(r.audio is not None for r in spoken)


def test_samples_follow_from_the_seed(system: System, french: list[Path]) -> None:
    def sampled(seed: int) -> str | None:
        decoding = {"name": "sample", "max_text_ids": 40}
        return system.run("asr", french[0], source="fr", decoding=decoding, seed=seed).transcript  # type: ignore[no-any-return]

    assert sampled(1) == sampled(1) != sampled(2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"task": "asr", "audio": 0}, r"ASR: which source language\? give source='French'"),
        ({"task": "s2st", "audio": 0, "source": "fr"}, r"S2ST: which target language"),
        ({"task": "asr", "audio": 0, "source": "Frensh"}, r"did you mean 'French'"),
        ({"task": "asr", "source": "fr"}, r"asr: reads audio, got neither audio nor text"),
        ({"task": "asr", "text": "bonjour", "source": "fr"}, r"asr: reads audio, got text"),
        ({"task": "mt", "text": " ", "source": "fr", "target": "en"}, r"expected a text, got ' '"),
        (
            {"task": "s2st", "audio": 0, "source": "fr", "target": "en", "voice": 1},
            r"'unit-mel'\) takes no voice prompt",
        ),
        ({"task": "asr", "audio": 0, "source": "fr", "voice": 1}, r"answers in text, so it takes no voice prompt"),
    ],
)
def test_invalid_inputs_are_refused(
    arguments: dict[str, object], says: str, system: System, french: list[Path]
) -> None:
    given = {k: french[v] if isinstance(v, int) else v for k, v in arguments.items()}
    with pytest.raises(InvalidConfig, match=says):
        system.run(**given)


@pytest.mark.filterwarnings("ignore::areca.errors.ArecaWarning")  # of late pieces
@pytest.mark.parametrize("decoding", ["greedy", {"name": "sample", "max_audio_frames": 60}, "beam"])
@pytest.mark.parametrize("name", ["system", "whole"])
def test_a_streamed_answer_is_that_of_run(
    name: str, decoding: Any, french: list[Path], request: pytest.FixtureRequest
) -> None:
    system: System = request.getfixturevalue(name)
    options: dict[str, Any] = {"source": "French", "target": "English", "decoding": decoding, "seed": 3}
    whole = system.run("asr+ast+s2st", audio=french[0], **options)
    pieces = list(system.stream("asr+ast+s2st", audio=french[0], **options))
    for field in ("source.text", "target.text"):
        assert "".join(p.text for p in pieces if p.field == field) == whole.texts[field]
    assert [p.field for p in pieces if p.last] == ["source.text", "target.text", "target.audio"]
    audios = [p.audio for p in pieces if p.audio is not None]
    assert whole.audio is not None and audios[0].sample_rate_hz == whole.audio.sample_rate_hz
    spoken = torch.cat([a.samples for a in audios], 1)
    torch.testing.assert_close(spoken, whole.audio.samples, atol=0.01 * float(spoken.abs().max()), rtol=0)
    assert not any(p.audio is not None for p in pieces if p.field != "target.audio")


@pytest.fixture
def whole(system: System, monkeypatch: pytest.MonkeyPatch) -> System:
    """The same system, with a vocoder that does not stream."""
    part = system.run_config.vocoder
    assert part is not None
    without = dataclasses.replace(part, spec=dataclasses.replace(part.spec, tags=frozenset()))
    monkeypatch.setattr(system, "run_config", dataclasses.replace(system.run_config, vocoder=without))
    return system


def test_late_pieces_are_announced(whole: System, french: list[Path]) -> None:
    options: dict[str, Any] = {"source": "French", "target": "English"}
    with pytest.warns(ArecaWarning, match="the vocoder 'unit-mel' lacks the tag stream"):
        whole.stream("s2st", audio=french[0], **options)
    with pytest.warns(ArecaWarning, match="method Beam chooses among whole answers, so text and audio come at the end"):
        whole.stream("asr", audio=french[0], source="French", decoding="beam")
    whole.stream("asr", audio=french[0], source="French")


def test_audio_comes_while_the_lm_writes(system: System, french: list[Path]) -> None:
    options: dict[str, Any] = {"source": "French", "target": "English", "decoding": "sample"}
    for seed in range(100):  # the LM is hardly trained, so most answers are short
        pieces = system.stream("s2st", audio=french[0], seed=seed, **options)
        audios = [p for p in pieces if p.audio is not None]
        if sum(p.audio.seconds for p in audios if p.audio is not None) > 0.6:
            assert len(audios) > 2 and not audios[0].last and audios[-1].last
            return
    pytest.fail("no answer has 15 codes")


def test_a_streamed_request_is_checked_at_once(system: System) -> None:
    with pytest.raises(InvalidConfig, match="task asr: reads audio, got text"):
        system.stream("asr", text="un", source="French")
    with pytest.raises(InvalidConfig, match="which source language"):
        system.stream("mt", text="un", target="English")


@pytest.fixture(scope="module")
def speaking(voiced: tuple[Path, Path]) -> System:
    directory, plugin = voiced
    return areca.load(directory, plugins=[str(plugin)])


def says_the_prompt(result: Result, prompt: Path | Audio) -> bool:
    """Return whether an answer is the 3-second prompt of a recording at 16 kHz without silence before it."""
    assert result.audio is not None
    samples = (prompt if isinstance(prompt, Audio) else audio.read(prompt)).samples
    wanted = samples.repeat(1, 10)[:, :48_000].repeat(1, 10)
    return torch.equal(result.audio.samples, wanted[:, : result.audio.samples.shape[1]])


def test_a_given_voice_speaks_all_answers(speaking: System, french: list[Path]) -> None:
    for voice in (french[2], audio.read(french[1])):
        for result in speaking.run("s2st", french[:2], source="fr", target="en", voice=voice):
            assert says_the_prompt(result, voice)
    voices = [french[1], "source", "none"]
    one, two, three = speaking.run("s2st", french, source="fr", target="en", voice=voices)
    assert says_the_prompt(one, french[1]) and says_the_prompt(two, french[1])
    assert set(three.audio.samples[0].tolist()) == {0.25}


def test_by_default_each_answer_has_the_voice_of_its_question(speaking: System, french: list[Path]) -> None:
    results = speaking.run("s2st", french, source="fr", target="en", batch=2)
    again = speaking.run("s2st", french, source="fr", target="en", batch=3, voice="source")
    assert all(says_the_prompt(r, path) for r, path in zip([*results, *again], french * 2, strict=True))
    assert not says_the_prompt(results[0], french[1])
    own = speaking.run("s2st", french[0], source="fr", target="en", voice="none")
    assert set(own.audio.samples[0].tolist()) == {0.25}
    with pytest.warns(ArecaWarning, match="lacks the tag stream"):
        stream = speaking.stream("s2st", french[0], source="fr", target="en")
    pieces = [piece.audio for piece in stream if piece.audio is not None]
    assert torch.equal(torch.cat([p.samples for p in pieces], 1), results[0].audio.samples)
    assert set(speaking.run("tts", text="un", source="en").audio.samples[0].tolist()) == {0.25}  # there is no question
    with pytest.raises(InvalidConfig, match="task TTS: reads text, so there is no source voice: give"):
        speaking.run("tts", text="un", source="en", voice="source")


def test_a_voice_prompt_that_cannot_be_used_is_refused(
    speaking: System, system: System, french: list[Path], tmp_path: Path
) -> None:
    ask: dict[str, Any] = {"source": "fr", "target": "en"}
    with pytest.raises(InvalidAudio, match=r"none\.wav: no such file"):
        speaking.run("s2st", french[0], **ask, voice="none.wav")
    samples = audio.read(french[0]).samples[0].numpy()
    short, silent, click = (tmp_path / f"{name}.wav" for name in ("short", "silent", "click"))
    soundfile.write(short, samples[:4_000], 16_000)
    soundfile.write(silent, 0 * samples, 16_000)
    soundfile.write(click, np.concatenate([np.zeros(16_000), samples[:1_000], np.zeros(16_000)]), 16_000)
    for path, message in (
        (short, r"short\.wav: lasts 0\.25 s, expected 0\.3 s or more"),
        (silent, r"silent\.wav: is silent"),
        (click, r"click\.wav: has 0\.2\d s of sound, expected 0\.3 s or more in a voice prompt: .*'none'"),
    ):
        with pytest.raises(InvalidAudio, match=message):
            speaking.run("s2st", french[0], **ask, voice=path)
    with pytest.raises(InvalidAudio, match=r"short\.wav: has 0\.25 s of sound"):
        speaking.run("s2st", short, **ask)
    assert speaking.run("s2st", short, **ask, voice="none").audio is not None
    with pytest.raises(InvalidConfig, match=r"vocoder \('unit-mel'\) takes no voice prompt"):
        system.run("s2st", french[0], **ask, voice="source")
    assert system.run("s2st", french[0], **ask, voice="none").audio is not None


@pytest.mark.parametrize("voice", [None, "source", "none", "2-fr.wav"])
def test_an_evaluation_gives_each_answer_a_voice(
    speaking: System, french: list[Path], tmp_path: Path, voice: str | None
) -> None:
    manifest = read_manifest(french[0].parent / "manifest.jsonl")
    path = str(french[2]) if voice == "2-fr.wav" else voice
    wanted = {"split": "test", "tasks": ["s2st"], "limit": 2, "voice": path}
    config = build(EvaluationConfig, wanted, "evaluation")
    metrics = open_metrics(parts.REGISTRY, [{"name": "duration-ratio", "compare_with": "voice"}], "cpu")
    scorers = Scorers(metrics, open_normaliser(parts.REGISTRY, "basic"))
    greedy = resolve_decoding(parts.REGISTRY, {"name": "greedy", "max_audio_frames": 30})
    results = evaluate(speaking, manifest, config, scorers, tmp_path, identity="x", decoding=greedy)
    rows = {row.id: row for row in manifest.rows}
    values: dict[str, list[float]] = {}
    for line in map(json.loads, results.read_text().splitlines()):
        spoken = audio.read(tmp_path / line["audio"])
        prompt = audio.read(french[2]) if voice == "2-fr.wav" else manifest.audio(rows[line["id"]])
        length = min(4_000, spoken.samples.shape[1])
        same = torch.allclose(spoken.samples[:, :length], prompt.samples[:, :length], atol=1e-4)
        assert same == (voice != "none")
        values.setdefault(line["metric"], []).append(line["value"] * prompt.seconds / spoken.seconds)
    assert len(values["compute_s"]) == 2
    # The metric compares the answer with its own prompt. An answer without a prompt has no such score.
    assert values.get("duration-ratio", []) == pytest.approx([] if voice == "none" else [1.0, 1.0], rel=1e-3)


def test_a_task_that_it_was_not_trained_for_warns(system: System, french: list[Path]) -> None:
    with pytest.warns(ArecaWarning, match="was not trained for task 'ast', only for asr, s2st"):
        system.run("ast", french[0], source="fr", target="en")
    with (
        warnings.catch_warnings(),
        pytest.raises(UnknownComponent, match="no task is called 'asrr'; did you mean 'asr'"),
    ):
        system.run("asrr", french[0], source="fr")


def _bad(directory: Path, kind: str) -> Path:
    path = directory / f"{kind}.wav"
    silence = np.zeros(16_000, dtype=np.float32)
    match kind:
        case "corrupt":
            path.write_bytes(b"not audio at all")
        case "empty":
            path.write_bytes(b"")
        case "nan":
            soundfile.write(path, silence * np.nan, 16_000, subtype="FLOAT")
        case "long":
            soundfile.write(path, np.tile(silence + np.sin(np.arange(16_000)).astype(np.float32) / 9, 60), 16_000)
        case "huge":
            soundfile.write(path, np.zeros(16_000 * 700, dtype=np.int16), 16_000)
        case "truncated":
            soundfile.write(path, silence, 16_000)
            path.write_bytes(path.read_bytes()[:9000])
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("corrupt", "not audio that can be decoded"),
        ("empty", "the file is empty"),
        ("nan", "has NaN"),
        ("truncated", "truncated"),
        ("long", r"60\.0 s is \d+ tokens, and the model's context of 512 .* pieces of at most \d+\.\d s"),
        ("huge", "lasts 700 s, expected at most 600 s"),
        ("missing", "no such file"),
    ],
)
def test_recordings_that_cannot_be_used_are_named(kind: str, says: str, system: System, tmp_path: Path) -> None:
    path = _bad(tmp_path, kind)
    with pytest.raises(InvalidAudio, match=rf"{kind}\.wav.*{says}"):
        system.run("asr", path, source="fr")


def test_arrays_are_the_recordings_that_they_hold(system: System, french: list[Path]) -> None:
    read = audio.read(french[0])
    samples = read.samples[0].numpy()
    expected = system.run("asr", french[0], source="fr").transcript
    pair = (samples, read.sample_rate_hz)
    for given in (pair, (read.samples, read.sample_rate_hz), ((samples * 32768).astype(np.int16), 16_000)):
        assert system.run("asr", given, source="fr").transcript == expected
    many = system.run("asr", [pair, french[0], pair], source="fr")
    assert [r.transcript for r in many] == [expected] * 3
    with pytest.raises(InvalidAudio, match=r"audio 1: an array does not contain its sample rate: give \(array, rate\)"):
        system.run("asr", samples, source="fr")
    with pytest.raises(InvalidAudio, match=r"audio 2: expected a path, an Audio or \(array, rate\), got 7"):
        system.run("asr", [pair, 7], source="fr")


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (torch.zeros(1, 16_000), "is silent"),
        (1e-6 * torch.randn(1, 16_000), "is silent"),
        (0.1 * torch.randn(1, 1), r"lasts 6\.25e-05 s, expected 0\.04 s or more"),
        (0.1 * torch.randn(1, 500), r"lasts 0\.03125 s, expected 0\.04 s or more"),  # a unit is 40 ms
        (22_900 * torch.randn(1, 16_000).clamp(-1, 1), ".*got a peak of 22900: 16-bit integers stored as floats"),
        (0.1 * torch.randn(1, 16_000 * 601), "lasts 601 s, expected at most 600 s: cut it into pieces"),
    ],
)
def test_silent_recordings_are_refused(system: System, samples: torch.Tensor, says: str) -> None:
    with pytest.raises(InvalidAudio, match=rf"quiet: {says}"):
        system.run("asr", Audio(samples, 16_000, "quiet"), source="fr")


def test_silence_around_speech_is_trimmed_and_reported(system: System, french: list[Path]) -> None:
    clean = audio.read(french[0])
    assert system.run("asr", clean, source="fr").trimmed_s == (0.0, 0.0)
    padded = Audio(torch.nn.functional.pad(clean.samples, (3 * 16_000, 10 * 16_000)), 16_000, "padded")
    result = system.run("asr", padded, source="fr")
    assert result.trimmed_s == pytest.approx((2.95, 9.95), abs=0.1)
    whole = dataclasses.replace(system.run_config, input=InputConfig(trim_silence_s=None))
    as_it_is = areca.load(system.checkpoint.directory)
    as_it_is.run_config = whole
    assert as_it_is.run("asr", padded, source="fr").trimmed_s == (0.0, 0.0)


def test_all_recordings_are_read_before_one_is_answered(
    system: System, french: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("areca.generation.batch.generate", None)  # nothing can be answered
    with pytest.raises(InvalidAudio, match=r"nan\.wav.*has NaN"):
        system.run("asr", [*french, _bad(tmp_path, "nan")], source="fr", batch=1)


def test_the_stated_maximum_length_is_accepted(system: System) -> None:
    import re

    with pytest.raises(InvalidAudio) as error:
        system.run("asr", Audio(torch.randn(1, 16_000 * 60), 16_000, "noise"), source="fr")
    most_s = float(re.search(r"at most (\d+\.\d) s", str(error.value))[1])  # type: ignore[index]
    assert most_s > 10
    system.run("asr", Audio(torch.randn(1, int(16_000 * (most_s - 0.3))), 16_000, "noise"), source="fr")


def test_without_a_shipped_checkpoint_the_message_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("areca.system.NANO", tmp_path / "none")
    with pytest.raises(ArecaError, match=r"ships no checkpoint .*: name a checkpoint, or make one with `make nano`"):
        areca.load()


def test_a_runs_own_plugins_serve_its_evaluation_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "mine.py").write_text(
        "from areca import Component, Kind, hookimpl\n"
        "from areca_units.options import MfccKmeansConfig\n"
        "ARECA_PLUGIN_API = 1\n\n\n"
        "@hookimpl\ndef areca_components():\n"
        "    yield Component(kind=Kind.TOKENIZER, name='mine', summary='mine', config=MfccKmeansConfig,\n"
        "                    spec='areca_units:units_spec', target='areca_units.mfcc:MfccKmeans',\n"
        "                    requires=('torch',), tags=frozenset({'fit'}))\n"
    )
    own = RUN | {
        "plugins": ["./mine.py"],
        "tokenizer": {"name": "mine", "clusters": 8},
        "tasks": ["asr"],
        "vocoder": None,
    }
    (root / "own.yaml").write_text(yaml.safe_dump(own))
    monkeypatch.setenv("ARECA_HOME", str(root / "store"))
    asked = {"tasks": ["asr"], "limit": 1}
    opened = open_inputs(root / "own.yaml", None, asked, plugins=(), device="cpu", stage=silent)
    assert opened.evaluate(root / "own-results", device="cpu", stage=silent).is_file()
    with pytest.raises(UnknownComponent, match=r"-p \./mine\.py"):
        areca.load(opened.system.checkpoint.directory)
    (root / "own.yaml").write_text(yaml.safe_dump(own | {"name": "renamed", "evaluation": {"batch": 4}}))
    renamed = open_inputs(root / "own.yaml", None, asked, plugins=(), device="cpu", stage=silent)
    assert renamed.identity == opened.identity, "it answers the same"
    with pytest.raises(InvalidConfig, match="no option is called 'limt'"):
        open_inputs(root / "own.yaml", None, {"limt": 3}, plugins=(), device="cpu", stage=silent)


def silent(_: str) -> AbstractContextManager[Progress]:
    return nullcontext(no_progress)


def _run(*arguments: object, plugins: tuple[object, ...] = ()) -> Any:
    """``areca run`` in this process; in a copy of its context, where the plugins that it is given stay."""
    command = [*(word for plugin in plugins for word in ("-p", str(plugin))), "run", *map(str, arguments)]
    return copy_context().run(CliRunner().invoke, app, command)


def _in(home: Path) -> dict[str, Any]:
    """Return how a command runs in `home`, which is also its store."""
    return {"cwd": home, "env": os.environ | {"ARECA_HOME": str(home)}}


def test_train_and_run_from_the_command_line(root: Path, checkpoint: Path, tmp_path: Path, warm: Warm) -> None:
    (root / "run.yaml").write_text(yaml.safe_dump(RUN))
    done = warm.run("train", root / "run.yaml", "-o", tmp_path / "mine", **_in(root / "store"))
    assert done.returncode == 0, done.stderr
    assert f"use it:     areca run {tmp_path / 'mine'} --task asr" in done.stdout
    assert "to build" not in done.stdout, "the fixture made it under the same keys"
    sounds = [root / "corpus" / f"{i}-fr.wav" for i in range(2)]
    options = ["--task", "s2st", "--source", "French", "--target", "English", "--json", "-o", tmp_path / "out"]
    done = warm.run("run", tmp_path / "mine", *sounds, *options, **_in(root / "store"))
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["input"] for row in rows] == [str(path) for path in sounds]
    for row, sound in zip(rows, sounds, strict=True):
        assert row["audio"] == str(tmp_path / "out" / f"{sound.stem}.s2st.wav")
        assert audio.read(row["audio"]).seconds == pytest.approx(row["audio_seconds"], abs=1e-3)


def test_run_reports_errors_before_it_loads_anything(root: Path, checkpoint: Path, warm: Warm) -> None:
    wrong = warm.run("run", checkpoint, root / "none.wav", "--task", "asr", **_in(root / "store"))
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("error: ") and "none.wav: no such recording" in wrong.stderr


def test_run_uses_the_task_with_the_most_outputs_by_default(
    system: System, checkpoint: Path, french: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out.wav"
    done = _run(checkpoint, french[0], "--source", "French", "--target", "English", "-o", out)
    assert (done.exit_code, done.stderr) == (0, "")
    expected = system.run("asr+ast+s2st", french[0], source="fr", target="en")
    texts = "".join(f"  {field:<12} {expected.texts[field]}\n" for field in ("source.text", "target.text"))
    assert done.stdout.startswith(f"{french[0]}\n{texts}  speech       {out} (")
    assert audio.read(out).samples.shape == expected.audio.samples.shape


def test_run_uses_the_given_decoding_method(system: System, checkpoint: Path, french: list[Path]) -> None:
    def transcript(*options: str) -> str:
        done = _run(checkpoint, french[0], "-t", "asr", "--source", "fr", "--json", *options)
        assert done.exit_code == 0, done.stderr
        text: str = json.loads(done.stdout)[0]["texts"]["source.text"]
        return text

    for given, how in (
        ("beam", "beam"),
        ("{name: beam, beams: 2, max_text_ids: 3}", {"name": "beam", "beams": 2, "max_text_ids": 3}),
        ("{name: sample, max_text_ids: 3}", {"name": "sample", "max_text_ids": 3}),
    ):
        assert transcript("--decoding", given) == system.run("asr", french[0], source="fr", decoding=how).transcript
    wrong = _run(checkpoint, french[0], "--decoding", "{name: beam, beam: 2}")
    assert wrong.exit_code == 1
    assert "decoding, beam: no option is called 'beam'; did you mean 'beams'?" in wrong.stderr
    old = _run(checkpoint, french[0], "--decoding", "{method: beam, beams: 2}")
    assert old.exit_code == 1 and "decoding: no option is called 'method'; write {name: beam}" in old.stderr
    unknown = _run(checkpoint, french[0], "--decoding", "beem")
    assert unknown.exit_code == 1 and "no decoding is called 'beem'; did you mean 'beam'?" in unknown.stderr


@pytest.mark.parametrize("how", ["-", pytest.param("file", marks=pytest.mark.slow), "fifo"])
def test_run_reads_what_comes_through_a_pipe(
    checkpoint: Path, french: list[Path], tmp_path: Path, warm: Warm, how: str
) -> None:
    expected = json.loads(_run(checkpoint, french[0], "-t", "asr", "-s", "fr", "--json").stdout)
    content = french[0].read_bytes()
    name: object = "-"
    if how == "fifo":
        os.mkfifo(name := tmp_path / "pipe")
        threading.Thread(target=lambda: Path(str(name)).write_bytes(content), daemon=True).start()
    given = str(french[0]) if how == "file" else content
    done = warm.run("run", checkpoint, name, "-t", "asr", "-s", "fr", "--json", stdin=given, **_in(tmp_path))
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)
    assert row["texts"] == expected[0]["texts"]
    assert row["trimmed_seconds"] == [0.0, 0.0]


@pytest.mark.parametrize(("content", "says"), [(b"", "the file is empty"), (b"<html><p>404", "the file is a web page")])
def test_run_says_what_came_through_a_pipe(
    checkpoint: Path, tmp_path: Path, warm: Warm, content: bytes, says: str
) -> None:
    done = warm.run("run", checkpoint, "-", "-t", "asr", "-s", "fr", stdin=content, **_in(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: /dev/stdin: ") and says in done.stderr


def test_run_speaks_texts(checkpoint: Path, tmp_path: Path) -> None:
    done = _run(checkpoint, "--text", "one two", "--text", "three", "-t", "tts", "--source", "en", "-o", tmp_path)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[0] == "one two"
    assert {p.name for p in tmp_path.iterdir()} == {"text-1.tts.wav", "text-2.tts.wav"}


def test_run_by_the_runs_yaml(
    root: Path, checkpoint: Path, french: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARECA_HOME", str(root / "store"))
    (root / "again.yaml").write_text(yaml.safe_dump(RUN))
    done = _run(root / "again.yaml", french[0], "--task", "asr", "--source", "French", "--json")
    assert done.exit_code == 0, done.stderr
    [row] = json.loads(done.stdout)
    assert (row["input"], row["task"], row["audio"]) == (str(french[0]), "asr", None)
    assert list(row["texts"]) == ["source.text"]
    (root / "other.yaml").write_text(yaml.safe_dump(RUN | {"name": "other", "seed": 9}))
    other = _run(root / "other.yaml", french[0], "--task", "asr", "--source", "French")
    assert (other.exit_code, other.stdout) == (1, "")
    assert "run 'other' has no checkpoint in" in other.stderr and "areca train RUN.YAML" in other.stderr


def test_run_in_a_voice(voiced: tuple[Path, Path], checkpoint: Path, french: list[Path], tmp_path: Path) -> None:
    asked = (french[0], "-t", "s2st", "-s", "fr", "--target", "en", "--voice", french[2], "-o", tmp_path / "out.wav")
    wrong = _run(checkpoint, *asked)
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert wrong.stderr == "error: the checkpoint's vocoder ('unit-mel') takes no voice prompt: leave it out\n"
    directory, plugin = voiced
    done = _run(directory, *asked, plugins=(plugin,))
    assert done.exit_code == 0, done.stderr
    said, prompt = audio.read(tmp_path / "out.wav").samples, audio.read(french[2]).samples
    length = min(said.shape[1], prompt.shape[1])
    assert torch.equal(said[:, :length], prompt[:, :length])


def test_run_names_the_bad_recording_and_writes_nothing(checkpoint: Path, french: list[Path], tmp_path: Path) -> None:
    options = ("-t", "s2st", "-s", "fr", "--target", "en", "--batch", "1", "-o", tmp_path / "out")
    wrong = _run(checkpoint, french[0], _bad(tmp_path, "corrupt"), *options)
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith(f"error: {tmp_path / 'corrupt.wav'}: not audio that can be decoded")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("{0}", "{1}", "-o", "out.wav"), "--output out.wav: one file, but 2 answers; name a folder"),
        (("{0}", "-o", "out.mp3"), "out.mp3: cannot write .mp3; use .wav or .flac"),
        (("{0}", "--text", "one"), "give recordings, or texts by --text, and not both"),
        ((), "give recordings, or texts by --text"),
        (("{0}", "."), ".: a folder; only the first argument, the checkpoint, may be a folder"),
    ],
)
def test_run_refuses_impossible_options(
    arguments: tuple[str, ...], says: str, checkpoint: Path, french: list[Path]
) -> None:
    wrong = _run(checkpoint, *(argument.format(*french) for argument in arguments))
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith(f"error: {says}")
