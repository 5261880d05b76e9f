"""The vocoder `unit-hifigan` on synthetic vowels, and what its network computes."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.vowels import encoder, vowels, write_vowels
from transformers.models.seamless_m4t.modeling_seamless_m4t import SeamlessM4TCodeHifiGan

from areca.errors import ArecaError, IncompatibleParts, InvalidArtifact, InvalidCodes, InvalidManifest
from areca.fitting.hifigan.training import mel_distance
from areca.interfaces import Job, StreamingVocoder
from areca.manifest import Manifest
from areca.specs import Spec, Stream, TokenizerSpec
from areca.types import Audio, Codes, VoicePrompt
from areca_unit_hifigan.corpus import choose_speakers
from areca_unit_hifigan.model import HubUnitHifigan, UnitHifigan
from areca_unit_hifigan.network import build, describe, predict_durations, synthesize
from areca_unit_hifigan.options import HubUnitHifiganConfig, UnitHifiganConfig
from areca_unit_hifigan.specs import frames_per_unit, hub_spec, spec
from areca_unit_hifigan.voice import Voice
from areca_units import dedup_spec, units_spec
from areca_units.dedup import Dedup
from areca_units.mfcc import MfccKmeans
from areca_units.options import DedupConfig, MfccKmeansConfig

CPU = torch.device("cpu")
CONFIG = UnitHifiganConfig(
    channels=32,
    kernels=(3,),
    embedding=8,
    segment=1_280,
    steps=4,
    batch=2,
    discriminator_channels=8,
    checkpoint_steps=2,
)
TWO = dataclasses.replace(CONFIG, speakers=2, voice="b", steps=1)
UNITS = 12


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_vowels(tmp_path_factory.mktemp("vowels"))


@pytest.fixture(scope="module")
def units(data: Manifest, tmp_path_factory: pytest.TempPathFactory) -> tuple[MfccKmeans, Spec]:
    config = MfccKmeansConfig(clusters=UNITS)
    directory = tmp_path_factory.mktemp("units")
    MfccKmeans.fit(config, {}, data, Job(directory, 0, CPU))
    return MfccKmeans.load(config, {}, directory, device=CPU, dtype=torch.float32), units_spec(config, {})


@pytest.fixture(scope="module")
def deduplicated(units: tuple[MfccKmeans, Spec]) -> tuple[Dedup, Spec]:
    return Dedup(units[0]), dedup_spec(DedupConfig(), {"tokenizer": units[1]})


def fit(config: UnitHifiganConfig, tokenizer: tuple[Any, Spec], data: Manifest, directory: Path, **job: Any) -> Path:
    directory.mkdir(exist_ok=True)
    given = Job(directory, 0, CPU, specs={"tokenizer": tokenizer[1]}, table=encoder(*tokenizer, data), **job)
    UnitHifigan.fit(config, {"tokenizer": tokenizer[0]}, data, given)
    shutil.rmtree(given.work)  # as core does
    return directory


def load(config: UnitHifiganConfig, files: Path) -> UnitHifigan:
    return UnitHifigan.load(config, {}, files, device=CPU, dtype=torch.float32)


def speak(vocoder: UnitHifigan, *codes: Codes) -> list[Audio]:
    return vocoder.synthesize(list(codes), [None] * len(codes), generator=torch.Generator())


def network(*, deduplicated: bool = True, speakers: int = 1, **options: Any) -> Any:
    """Return a network whose random weights let every frame be heard."""
    config = dataclasses.replace(CONFIG, **options)
    names = [f"s{i}" for i in range(speakers)]
    described = describe(config, units=UNITS, frames_per_unit=2, deduplicated=deduplicated, speakers=names)
    model = build(described, 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for weight in model.hifi_gan.resblocks.parameters():
            torch.nn.init.normal_(weight, std=0.1)
    return model.eval()


@pytest.fixture(scope="module")
def fitted(deduplicated: tuple[Any, Spec], data: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of two speakers, hardly trained."""
    return fit(TWO, deduplicated, data, tmp_path_factory.mktemp("fitted"))


@pytest.mark.slow  # 80 steps
def test_training_brings_speech_and_durations_nearer(
    deduplicated: tuple[Any, Spec], data: Manifest, tmp_path: Path
) -> None:
    config = dataclasses.replace(CONFIG, segment=2_560, duration_dropout=0.0, duration_weight=20.0, learning_rate=3e-3)
    codes = deduplicated[0].encode([vowels(i) for i in range(2_000, 2_004)])
    distances, lengths = [], []
    for steps in (1, 80):
        longer = dataclasses.replace(config, steps=steps, checkpoint_steps=100)
        vocoder = load(longer, fit(longer, deduplicated, data, tmp_path / str(steps)))
        assert isinstance(vocoder, StreamingVocoder)
        said, unheard = speak(vocoder, codes[0])[0].samples, vowels(2_000).samples
        length = min(said.shape[1], unheard.shape[1])
        distances.append(float(mel_distance(said[:, :length], unheard[:, :length])))
        lengths.append(sum(a.samples.shape[1] for a in speak(vocoder, *(Codes(c.streams) for c in codes))))
    wanted = sum(a.samples.shape[1] for a in speak(vocoder, *codes))
    assert distances[1] < 0.7 * distances[0], distances
    assert 0.7 < lengths[1] / wanted < 1.2 and abs(lengths[1] - wanted) < abs(lengths[0] - wanted), (lengths, wanted)


class Killed(BaseException):
    pass


def test_a_killed_fit_resumes_to_the_same_weights(
    deduplicated: tuple[Any, Spec], data: Manifest, tmp_path: Path
) -> None:
    before = torch.get_rng_state()
    undisturbed = fit(CONFIG, deduplicated, data, tmp_path / "undisturbed")
    steps: list[int] = []

    def kill(done: int, total: int, message: str = "") -> None:
        if "mel" in message:
            assert ", durations " in message
            steps.append(done)
            if done == 3 and steps.count(done) == 1:
                raise Killed

    with pytest.raises(Killed):
        fit(CONFIG, deduplicated, data, tmp_path / "killed", progress=kill)
    resumed = fit(CONFIG, deduplicated, data, tmp_path / "killed", progress=kill)
    assert steps == [1, 2, 3, 3, 4]
    assert sorted(p.name for p in resumed.iterdir()) == ["config.json", "model.safetensors"]
    for name in ("config.json", "model.safetensors"):
        assert (resumed / name).read_bytes() == (undisturbed / name).read_bytes()
    assert torch.equal(before, torch.get_rng_state())


def test_units_at_a_constant_rate_last_as_many_frames_as_a_unit_has() -> None:
    model = network(deduplicated=False)
    assert predict_durations(model, torch.arange(UNITS)).tolist() == [2] * UNITS
    assert not any(p.requires_grad for p in model.dur_predictor.parameters())


def test_transformers_and_the_component_for_the_hub_speak_the_same(fitted: Path) -> None:
    other = SeamlessM4TCodeHifiGan.from_pretrained(fitted).eval()
    codes = torch.tensor([3, 1, 2, 5])
    row = other.config.speakers.index("b")
    with torch.no_grad():
        expected, _ = other(codes[None], torch.tensor([[row]]), torch.tensor([[0]]))
    [said] = speak(load(TWO, fitted), Codes((codes,)))
    torch.testing.assert_close(said.samples[0], expected.flatten())
    for speaker in (0, 1):
        config = HubUnitHifiganConfig(path=fitted, speaker=speaker)
        tokenizer = TokenizerSpec((Stream("unit", UNITS, None),), 16_000, base_rate_hz=25.0)
        assert hub_spec(config, {"tokenizer": tokenizer}).sample_rate_hz == 16_000
        by_hub = HubUnitHifigan.load(config, {}, None, device=CPU, dtype=torch.float32).voice.speak(Codes((codes,)))
        assert torch.equal(by_hub.samples, said.samples) == (speaker == row)


def test_speakers_are_those_with_the_most_recordings_and_the_voice(data: Manifest) -> None:
    names, found = choose_speakers(dataclasses.replace(CONFIG, speakers=2), data)
    assert names == ["a", "b"] and len(found) == 24 and {column for _, column in found} == {"audio"}
    names, found = choose_speakers(dataclasses.replace(CONFIG, speakers=1, voice="b"), data)
    assert names == ["b"] and {row.speaker for row, _ in found} == {"b"}
    assert {column for _, column in choose_speakers(CONFIG, data)[1]} == {"target_audio"}
    with pytest.raises(InvalidManifest, match="expected 3 speakers with audio in the training split, got 2"):
        choose_speakers(dataclasses.replace(CONFIG, speakers=3), data)


def test_each_speaker_has_an_embedding_that_is_heard() -> None:
    model = network(speakers=3)
    with torch.no_grad():
        frames, none = torch.arange(UNITS)[None].expand(3, -1), torch.zeros(3, dtype=torch.int64)
        one, other, third = synthesize(model, frames, torch.arange(3), none)
        again = synthesize(model, frames[:1], torch.tensor([1]), none[:1])[0]
    assert (one - other).abs().max() > 1e-3 and (other - third).abs().max() > 1e-3
    torch.testing.assert_close(again, other)


def push_all(vocoder: UnitHifigan, parts: list[Codes]) -> tuple[int, torch.Tensor]:
    """Return how many pieces came before the units ended, and the samples of the whole session."""
    session = vocoder.open(None, generator=torch.Generator())
    early = [audio for part in parts if (audio := session.push(part)) is not None]
    rest = session.finish()
    return len(early), torch.cat([a.samples for a in (*early, *([] if rest is None else [rest]))], 1)


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("timed", [False, True])
def test_units_pushed_in_pieces_are_spoken_as_the_whole(timed: bool, size: int) -> None:
    vocoder = UnitHifigan(Voice(network(kernels=(3, 7)), 0, 0))
    generator = torch.Generator().manual_seed(2)
    units = torch.randint(UNITS, (60,), generator=generator)
    durations = torch.randint(1, 4, (60,), generator=generator) if timed else None
    [whole] = speak(vocoder, Codes((units,), durations))
    pieces = zip(units.split(size), [None] * 60 if durations is None else durations.split(size), strict=False)
    early, samples = push_all(vocoder, [Codes((u,), d) for u, d in pieces])
    assert early >= 1
    torch.testing.assert_close(samples, whole.samples, atol=1e-5, rtol=0)


def test_other_items_of_a_batch_change_nothing() -> None:
    vocoder = UnitHifigan(Voice(network(), 0, 0))
    codes = [Codes((torch.tensor([3, 1]),)), Codes((torch.arange(UNITS),))]
    together = speak(vocoder, *codes)
    assert torch.equal(together[0].samples, speak(vocoder, codes[0])[0].samples)


@pytest.mark.slow  # another fit
def test_half_precision_halves_the_file(
    fitted: Path, deduplicated: tuple[Any, Spec], data: Manifest, tmp_path: Path
) -> None:
    half = fit(dataclasses.replace(TWO, weights_dtype="float16"), deduplicated, data, tmp_path)
    sizes = [(d / "model.safetensors").stat().st_size for d in (half, fitted)]
    assert sizes[0] < 0.65 * sizes[1]
    frames = torch.arange(UNITS)
    one, other = (load(TWO, d).voice.synthesize(frames) for d in (half, fitted))
    torch.testing.assert_close(one, other, atol=0.01, rtol=0)


def test_voices_and_wrong_codes_are_refused() -> None:
    vocoder = UnitHifigan(Voice(network(), 0, 0))
    good = Codes((torch.tensor([0, 1]),))
    with pytest.raises(ArecaError, match="unit-hifigan speaks in voices that it was trained on, got 1 voice prompt"):
        vocoder.synthesize([good], [VoicePrompt(vowels(0))], generator=torch.Generator())
    with pytest.raises(ArecaError, match="got 1 voice prompt"):
        vocoder.open(VoicePrompt(vowels(0)), generator=torch.Generator())
    for wrong in ([], [Codes((torch.tensor([UNITS]),))], [Codes((torch.tensor([-1]),))], [Codes(good.streams * 2)]):
        with pytest.raises(InvalidCodes):
            speak(vocoder, *wrong)


def test_recordings_shorter_than_a_segment_are_refused(units: tuple[Any, Spec], data: Manifest, tmp_path: Path) -> None:
    with pytest.raises(InvalidManifest, match=r"recordings of at least 160000 samples, the longest has \d+; give a sm"):
        fit(dataclasses.replace(CONFIG, segment=160_000), units, data, tmp_path)


def test_damaged_files_are_refused(fitted: Path, tmp_path: Path) -> None:
    files = shutil.copytree(fitted, tmp_path / "copy")
    text = (files / "config.json").read_text()
    for wrong, message in (
        (text.replace('"upsample_initial_channel": 32', '"upsample_initial_channel": 64'), "describes"),
        (text.replace('"b"', '"b", "c"'), "expected speakers, a list of names"),
    ):
        assert wrong != text
        (files / "config.json").write_text(wrong)
        with pytest.raises(InvalidArtifact, match=message):
            load(TWO, files)
    with pytest.raises(InvalidArtifact, match="expected 'b' among the speakers"):
        (files / "config.json").write_text(text.replace('"b"', '"c"'))
        load(TWO, files)
    (files / "config.json").write_text(text)
    weights = files / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(InvalidArtifact, match="not a complete safetensors file"):
        load(CONFIG, files)


def test_the_spec_accepts_units_whose_rate_divides_the_frames() -> None:
    constant = TokenizerSpec((Stream("unit", 9, 25.0),), 24_000)
    varying = TokenizerSpec((Stream("unit", 9, None),), 16_000, base_rate_hz=50.0)
    for tokenizer, repeats in ((constant, 2), (varying, 1)):
        assert spec(CONFIG, {"tokenizer": tokenizer}).streams == tokenizer.streams
        assert spec(CONFIG, {"tokenizer": tokenizer}).sample_rate_hz == 16_000
        assert frames_per_unit(CONFIG, tokenizer) == repeats
    wide = UnitHifiganConfig(strides=(10, 4, 4, 2), segment=9_600)
    assert math.prod(wide.strides) == wide.hop == 320
    wrong = {
        "one stream, got a\\[2\\] at 25 Hz, b\\[2\\] at 25 Hz": (Stream("a", 2, 25.0), Stream("b", 2, 25.0)),
        "strides of 320 samples give 50 frames a second, which units at 75 Hz do not divide": (Stream("a", 2, 75.0),),
        "units with a rate or with durations": (Stream("a", 2, None),),
    }
    for message, streams in wrong.items():
        with pytest.raises(IncompatibleParts, match=message):
            spec(CONFIG, {"tokenizer": TokenizerSpec(streams, 16_000)})


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"speakers": 0},
        {"strides": ()},
        {"strides": (1, 320)},
        {"channels": 100},
        {"kernels": (4,)},
        {"segment": 9_000},
        {"duration_dropout": 1.0},
        {"mel_weight": -1.0},
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        UnitHifiganConfig(**wrong)
