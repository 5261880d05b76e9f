"""The neural inverter of `mel-rvq`: its training, its audio in pieces, and what stays as it was without it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.vowels import vowels, write_vowels

from areca.errors import InvalidArtifact, InvalidManifest
from areca.interfaces import Job, Progress, StreamingDecoder, no_progress
from areca.manifest import Manifest
from areca.mel import SPEECH
from areca.options import canonical
from areca.types import Codes
from areca_melrvq import SAMPLES_PER_MEL, STRIDES, MelRvqConfig
from areca_melrvq.inverter import build_inverter
from areca_melrvq.model import MelRvq

CPU = torch.device("cpu")
CONFIG = MelRvqConfig(
    levels=2,
    clusters=16,
    sample_frames=1_000,
    inverter="neural",
    inverter_channels=16,
    inverter_segment=1_280,
    inverter_steps=3,
    inverter_batch=2,
    inverter_discriminator_channels=8,
    checkpoint_steps=2,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_vowels(tmp_path_factory.mktemp("vowels"))


def fit(config: MelRvqConfig, data: Manifest, directory: Path, progress: Progress = no_progress) -> Path:
    directory.mkdir(exist_ok=True)
    MelRvq.fit(config, {}, data, Job(directory, 0, CPU, progress))
    return directory


def load(config: MelRvqConfig, files: Path) -> MelRvq:
    return MelRvq.load(config, {}, files, device=CPU, dtype=torch.float32)


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def fitted(data: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(CONFIG, data, tmp_path_factory.mktemp("fitted"))


def test_a_killed_fit_resumes_to_the_same_weights(fitted: Path, data: Manifest, tmp_path: Path) -> None:
    steps: list[int] = []

    def kill(done: int, total: int, message: str = "") -> None:
        if "mel L1" in message:
            steps.append(done)
            if steps == [1, 2, 3]:
                raise Killed

    with pytest.raises(Killed):
        fit(CONFIG, data, tmp_path, kill)
    fit(CONFIG, data, tmp_path, kill)
    assert steps == [1, 2, 3, 3]
    for name in ("codebooks.safetensors", "inverter.safetensors"):
        assert (tmp_path / name).read_bytes() == (fitted / name).read_bytes()


def test_the_codes_are_those_without_it_and_the_audio_is_not(fitted: Path) -> None:
    plain = load(dataclasses.replace(CONFIG, inverter="griffin-lim"), fitted)
    neural = load(CONFIG, fitted)
    [codes], [same] = plain.encode([vowels(50)]), neural.encode([vowels(50)])
    assert all(torch.equal(a, b) for a, b in zip(codes.streams, same.streams, strict=True))
    [one], [other] = plain.decode([codes]), neural.decode([codes])
    assert one.samples.shape == other.samples.shape == (1, len(codes.streams[0]) * 320)
    assert not torch.allclose(one.samples, other.samples, atol=1e-4)


@pytest.mark.parametrize("size", [1, 13])
def test_codes_pushed_in_pieces_are_decoded_as_the_whole(fitted: Path, size: int) -> None:
    tokenizer = load(CONFIG, fitted)
    assert isinstance(tokenizer, StreamingDecoder) and tokenizer.inverter is not None
    with torch.random.fork_rng(devices=[]):  # let every frame be heard
        torch.manual_seed(0)
        for weight in tokenizer.inverter.generator.resblocks.parameters():
            torch.nn.init.normal_(weight, std=0.1)
    [codes] = tokenizer.encode([vowels(51)])
    [whole] = tokenizer.decode([codes])
    session = tokenizer.open()
    parts = zip(*(s.split(size) for s in codes.streams), strict=True)
    pieces = [session.push(Codes(part)) for part in parts]
    assert any(pieces)
    samples = torch.cat([a.samples for a in (*pieces, session.finish()) if a is not None], 1)
    torch.testing.assert_close(samples, whole.samples, atol=1e-5, rtol=0)


@pytest.mark.slow  # 100 steps
def test_training_brings_the_audio_nearer(data: Manifest, tmp_path: Path) -> None:
    from areca.fitting.hifigan.training import mel_distance

    distances = []
    for steps in (1, 100):
        config = dataclasses.replace(
            CONFIG, inverter_steps=steps, inverter_learning_rate=3e-3, inverter_segment=2_560, checkpoint_steps=200
        )
        tokenizer = load(config, fit(config, data, tmp_path / str(steps)))
        unheard = vowels(52)
        [said] = tokenizer.decode(tokenizer.encode([unheard]))
        distances.append(float(mel_distance(said.samples[:, : unheard.samples.shape[1]], unheard.samples)))
    assert distances[1] < 0.7 * distances[0], distances


def test_a_frame_has_as_many_samples_as_a_log_mel() -> None:
    assert math.prod(STRIDES) == SAMPLES_PER_MEL == SPEECH.hop
    inverter = build_inverter(16, torch.zeros(80), torch.ones(80), 0)
    assert inverter.invert(torch.zeros(80, 7)).shape == (7 * 160,)
    again = build_inverter(16, torch.zeros(80), torch.ones(80), 0)
    assert all(torch.equal(a, b) for a, b in zip(inverter.parameters(), again.parameters(), strict=True))


def test_the_key_is_that_of_before_unless_it_is_chosen() -> None:
    added = {f.name for f in dataclasses.fields(MelRvqConfig)} - set(canonical(MelRvqConfig()))
    assert added == {name for name in MelRvqConfig.__slots__ if name.startswith(("inverter", "checkpoint_"))}
    assert canonical(dataclasses.replace(MelRvqConfig(), inverter="neural"))["inverter"] == "neural"


def test_another_size_and_short_recordings_are_refused(fitted: Path, data: Manifest, tmp_path: Path) -> None:
    with pytest.raises(InvalidArtifact, match="the options describe another network"):
        load(dataclasses.replace(CONFIG, inverter_channels=32), fitted)
    with pytest.raises(InvalidManifest, match=r"recordings of at least 160000 samples, the longest has .* smaller inv"):
        fit(dataclasses.replace(CONFIG, inverter_segment=160_000), data, tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [{"inverter_channels": 24}, {"inverter_segment": 1_000}, {"inverter_steps": 0}, {"inverter_learning_rate": 0.0}],
)
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MelRvqConfig(**wrong)
