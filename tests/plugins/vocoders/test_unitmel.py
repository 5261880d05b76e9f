"""The vocoder `unit-mel` on synthetic vowels, with real tokenizers."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.vowels import encoder, vowels, write_vowels

from areca.errors import ArecaError, IncompatibleParts, InvalidCodes, InvalidManifest
from areca.fitting.voices import recordings_of_voice
from areca.interfaces import Job, Vocoder
from areca.manifest import FileManifest, Manifest
from areca.mel import log_mel
from areca.specs import Spec, Stream, TokenizerSpec
from areca.types import Audio, Codes, VoicePrompt
from areca_unitmel import UnitMelConfig, spec
from areca_unitmel.corpus import Clip
from areca_unitmel.model import UnitMel
from areca_unitmel.network import Shape, Voice
from areca_unitmel.training import _cut, mel_loss
from areca_units import dedup_spec, units_spec
from areca_units.dedup import Dedup
from areca_units.mfcc import MfccKmeans
from areca_units.options import DedupConfig, MfccKmeansConfig

CPU = torch.device("cpu")
CONFIG = UnitMelConfig(width=32, layers=1, steps=50, batch=6, learning_rate=5e-3, phase_iterations=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_vowels(tmp_path_factory.mktemp("vowels"))


@pytest.fixture(scope="module")
def units(data: Manifest, tmp_path_factory: pytest.TempPathFactory) -> tuple[MfccKmeans, Spec]:
    config = MfccKmeansConfig(clusters=24)
    directory = tmp_path_factory.mktemp("units")
    MfccKmeans.fit(config, {}, data, Job(directory, 0, CPU))
    return MfccKmeans.load(config, {}, directory, device=CPU, dtype=torch.float32), units_spec(config, {})


@pytest.fixture(scope="module")
def deduplicated(units: tuple[MfccKmeans, Spec]) -> tuple[Dedup, Spec]:
    return Dedup(units[0]), dedup_spec(DedupConfig(), {"tokenizer": units[1]})


def fit(config: UnitMelConfig, tokenizer: tuple[Any, Spec], data: Manifest, directory: Path, **job: Any) -> Path:
    directory.mkdir(exist_ok=True)
    given = Job(directory, 0, CPU, specs={"tokenizer": tokenizer[1]}, table=encoder(*tokenizer, data), **job)
    UnitMel.fit(config, {"tokenizer": tokenizer[0]}, data, given)
    shutil.rmtree(given.work)  # as core does
    return directory


def load(config: UnitMelConfig, files: Path) -> UnitMel:
    return UnitMel.load(config, {}, files, device=CPU, dtype=torch.float32)


def speak(vocoder: UnitMel, codes: list[Codes], seed: int = 0) -> list[Audio]:
    return vocoder.synthesize(codes, [None] * len(codes), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def vocoder(units: tuple[Any, Spec], data: Manifest, tmp_path_factory: pytest.TempPathFactory) -> UnitMel:
    return load(CONFIG, fit(CONFIG, units, data, tmp_path_factory.mktemp("voice")))


@pytest.fixture(scope="module")
def timed(deduplicated: tuple[Any, Spec], data: Manifest, tmp_path_factory: pytest.TempPathFactory) -> UnitMel:
    return load(CONFIG, fit(CONFIG, deduplicated, data, tmp_path_factory.mktemp("timed")))


def test_unseen_speech_is_reconstructed(vocoder: UnitMel, units: tuple[Any, Spec]) -> None:
    assert isinstance(vocoder, Vocoder)
    unheard = vowels(1_000)
    codes = units[0].encode([unheard])
    (said,) = speak(vocoder, codes)
    assert said.sample_rate_hz == 16_000 and said.samples.shape == (1, len(codes[0].streams[0]) * 640)
    wanted = log_mel(unheard.samples[0])
    got = log_mel(said.samples[0])[:, : wanted.shape[1]]
    baseline = (wanted - wanted.mean(1, keepdim=True)).abs().mean()
    assert (got - wanted).abs().mean() < 0.5 * baseline


def test_the_voice_is_that_of_the_target_recordings(
    vocoder: UnitMel, units: tuple[Any, Spec], data: Manifest, tmp_path: Path
) -> None:
    other = load(
        dataclasses.replace(CONFIG, voice="a"),
        fit(dataclasses.replace(CONFIG, voice="a"), units, data, tmp_path / "other"),
    )
    codes = units[0].encode([vowels(1_001)])
    low, high = (log_mel(speak(v, codes)[0].samples[0]).exp().mean(1) for v in (vocoder, other))
    band_120, band_180 = (int((log_mel(tone(hz)).mean(1)).argmax()) for hz in (120, 180))
    assert low[band_120] / low[band_180] > 2 * high[band_120] / high[band_180]


def tone(hz: float) -> torch.Tensor:
    return 0.1 * torch.sin(2 * math.pi * hz * torch.arange(8_000) / 16_000)


def test_each_training_recording_is_used_once_and_no_test_row(data: Manifest) -> None:
    assert [row.target_audio for row, column in recordings_of_voice(data, None, "x") if column == "target_audio"] == [
        f"t{i}.wav" for i in range(12)
    ]
    of_a = recordings_of_voice(data, "a", "x")
    assert [(row.id, column) for row, column in of_a] == [(f"{i}a", "audio") for i in range(12)]
    with pytest.raises(InvalidManifest, match="x: the training split has no audio of speaker 'held'\n  speakers: a, b"):
        recordings_of_voice(data, "held", "x")
    alone = FileManifest(tuple(dataclasses.replace(r, target_audio=None) for r in data.rows), data.root)
    with pytest.raises(InvalidManifest, match=r"voice=.*\n  speakers: a, b"):
        recordings_of_voice(alone, None, "x")


def test_missing_durations_are_predicted(timed: UnitMel, deduplicated: tuple[Any, Spec]) -> None:
    codes = deduplicated[0].encode([vowels(i) for i in range(2_000, 2_006)])
    for c, exact in zip(codes, speak(timed, codes), strict=True):
        assert c.durations is not None
        assert exact.samples.shape[1] == int(c.durations.sum()) * 640
    silent = [Codes(c.streams) for c in codes]
    wanted = sum(a.samples.shape[1] for a in speak(timed, codes))
    assert abs(sum(a.samples.shape[1] for a in speak(timed, silent)) / wanted - 1) < 0.15


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [3, *(pytest.param(step, marks=pytest.mark.slow) for step in (17, 25))])
def test_a_killed_fit_resumes_to_the_same_weights(
    after: int, deduplicated: tuple[Any, Spec], data: Manifest, tmp_path: Path
) -> None:
    config = dataclasses.replace(CONFIG, width=16, steps=25, checkpoint_steps=10)
    undisturbed = fit(config, deduplicated, data, tmp_path / "undisturbed")
    steps: list[int] = []

    def kill(done: int, total: int, message: str = "") -> None:
        if "mel" in message:
            steps.append(done)
            if done == after and steps.count(done) == 1:
                raise Killed

    with pytest.raises(Killed):
        fit(config, deduplicated, data, tmp_path / "killed", progress=kill)
    resumed = fit(config, deduplicated, data, tmp_path / "killed", progress=kill)
    assert steps[after] == after // 10 * 10 + 1 if after < 25 else 21
    assert [p.name for p in resumed.iterdir()] == ["voice.safetensors"]
    assert (resumed / "voice.safetensors").read_bytes() == (undisturbed / "voice.safetensors").read_bytes()


def test_other_items_of_a_batch_change_nothing(vocoder: UnitMel, timed: UnitMel) -> None:
    short, long = torch.tensor([3, 1, 2]), torch.tensor([0, 5, 9, 9, 4, 7, 7, 1])
    clips = [Clip(u, torch.ones_like(u), torch.randn(len(u) * 4, 80).half()) for u in (short, long)]
    net = vocoder.voice.mel
    with torch.no_grad():
        together = mel_loss(net, clips, CPU)
        alone = [mel_loss(net, [c], CPU) * len(c.mel) for c in clips]
    torch.testing.assert_close(together, sum(alone) / sum(len(c.mel) for c in clips))
    both = speak(vocoder, [Codes((short,)), Codes((short,))])
    assert torch.equal(both[0].samples, speak(vocoder, [Codes((short,))])[0].samples)


def push_all(vocoder: UnitMel, parts: Iterable[Codes], seed: int = 0) -> tuple[list[Audio], torch.Tensor]:
    """Return the audio that came before the units ended, and the samples of the whole session."""
    session = vocoder.open(None, generator=torch.Generator().manual_seed(seed))
    early = [audio for part in parts if (audio := session.push(part)) is not None]
    rest = session.finish()
    return early, torch.cat([a.samples for a in (*early, *([] if rest is None else [rest]))], 1)


@pytest.mark.parametrize("name", ["vocoder", "timed"])
@pytest.mark.parametrize("size", [1, 6])
def test_units_pushed_in_pieces_are_spoken_as_the_whole(name: str, size: int, request: pytest.FixtureRequest) -> None:
    vocoder = request.getfixturevalue(name)
    units = torch.randint(vocoder.shape.units, (90,), generator=torch.Generator().manual_seed(2))
    [whole] = speak(vocoder, [Codes((units,))])
    early, samples = push_all(vocoder, [Codes((part,)) for part in units.split(size)])
    assert early
    torch.testing.assert_close(samples, whole.samples, atol=0.01 * float(whole.samples.abs().max()), rtol=0)


def test_durations_that_come_with_the_units_are_kept(timed: UnitMel) -> None:
    units, durations = torch.tensor([1, 2, 3]), torch.tensor([20, 30, 25])
    [whole] = speak(timed, [Codes((units,), durations)])
    parts = [Codes((u,), d) for u, d in zip(units.split(1), durations.split(1), strict=True)]
    _, samples = push_all(timed, parts)
    torch.testing.assert_close(samples, whole.samples, atol=0.01 * float(whole.samples.abs().max()), rtol=0)


def test_phases_come_from_the_generator(vocoder: UnitMel) -> None:
    codes = [Codes((torch.arange(12),))]
    first, again, other = (speak(vocoder, codes, seed)[0].samples for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_the_global_generator_is_not_used(deduplicated: tuple[Any, Spec], data: Manifest, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, steps=2)
    before = torch.get_rng_state()
    vocoder = load(config, fit(config, deduplicated, data, tmp_path / "voice"))
    speak(vocoder, [Codes((torch.arange(5),))])
    assert torch.equal(before, torch.get_rng_state())


def test_long_clips_are_cut_between_units_and_their_frames_follow() -> None:
    durations = torch.tensor([3, 1, 4, 1, 5, 9, 2, 6, 5, 3])
    frame_of_unit = torch.arange(10).repeat_interleave(durations).repeat_interleave(4)
    clip = Clip(torch.arange(10), durations, frame_of_unit[:, None].half())
    seen = set()
    for seed in range(60):
        cut = _cut(clip, 12, 4, torch.Generator().manual_seed(seed))
        assert int(cut.durations[:-1].sum()) < 12 <= int(cut.durations.sum())
        assert torch.equal(cut.durations, durations[cut.units])
        assert torch.equal(cut.mel[:, 0].long(), cut.units.repeat_interleave(cut.durations * 4))
        seen |= set(cut.units.tolist())
    assert seen == set(range(10))
    assert _cut(clip, 39, 4, torch.Generator()) is clip


def test_half_precision_halves_the_file_and_keeps_the_voice(
    vocoder: UnitMel, units: tuple[Any, Spec], data: Manifest, tmp_path: Path
) -> None:
    config = dataclasses.replace(CONFIG, weights_dtype="float16", steps=20)
    half = fit(config, units, data, tmp_path / "half")
    full = fit(dataclasses.replace(config, weights_dtype="float32"), units, data, tmp_path / "full")
    sizes = [(d / "voice.safetensors").stat().st_size for d in (half, full)]
    assert sizes[0] < 0.55 * sizes[1]
    mels = [load(config, d).voice.mel(torch.arange(24)[None], torch.ones(1, 24)) for d in (half, full)]
    assert next(load(config, half).voice.parameters()).dtype == torch.float32
    assert (mels[0] - mels[1]).abs().max() < 0.05


def test_voices_and_wrong_codes_are_refused(vocoder: UnitMel) -> None:
    codes = [Codes((torch.tensor([0, 1]),))]
    prompt = VoicePrompt(vowels(0))
    with pytest.raises(ArecaError, match="one voice it was trained on, got 1 voice prompt"):
        vocoder.synthesize(codes, [prompt], generator=torch.Generator())
    for wrong in ([], [Codes((torch.tensor([24]),))], [Codes((torch.tensor([-1]),))], [Codes(codes[0].streams * 2)]):
        with pytest.raises(InvalidCodes):
            speak(vocoder, wrong)


def test_the_spec_accepts_units_of_whole_mel_frames() -> None:
    constant = TokenizerSpec((Stream("unit", 9, 25.0),), 24_000)
    varying = TokenizerSpec((Stream("unit", 9, None),), 16_000, base_rate_hz=50.0)
    for tokenizer in (constant, varying):
        assert spec(CONFIG, {"tokenizer": tokenizer}).streams == tokenizer.streams
        assert spec(CONFIG, {"tokenizer": tokenizer}).sample_rate_hz == 16_000
    wrong = {
        "one stream, got a\\[2\\] at 25 Hz, b\\[2\\] at 25 Hz": (Stream("a", 2, 25.0), Stream("b", 2, 25.0)),
        "divides 100 Hz, got 75.0 Hz": (Stream("a", 2, 75.0),),
        "divides 100 Hz, got None Hz": (Stream("a", 2, None),),
    }
    for message, streams in wrong.items():
        with pytest.raises(IncompatibleParts, match=message):
            spec(CONFIG, {"tokenizer": TokenizerSpec(streams, 16_000)})


def test_a_faster_tokenizer_has_fewer_mel_frames_per_unit() -> None:
    voice = Voice(Shape(units=5, frames_per_unit=2, width=8, layers=1, fine_layers=1, longest=None))
    assert voice.duration is None
    assert voice.mel(torch.zeros(1, 7, dtype=torch.int64), torch.ones(1, 7)).shape == (1, 80, 14)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"width": 0}, {"speech_s": 0.0}, {"phase_iterations": -1}, {"fine_layers": -1}]
)
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        UnitMelConfig(**wrong)
