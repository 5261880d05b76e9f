"""Residual k-means over log-mels: the contribution of each level, and decoded speech."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from areca import audio
from areca.errors import InvalidAudio, InvalidCodes, InvalidManifest
from areca.interfaces import Decoder, Job, StreamingDecoder
from areca.manifest import FileManifest, Manifest, Utterance, read_manifest, write_manifest
from areca.mel import log_mel
from areca.types import Audio, Codes
from areca_melrvq import MelRvqConfig, spec
from areca_melrvq.model import MelRvq

CPU = torch.device("cpu")
CONFIG = MelRvqConfig(levels=4, clusters=24, sample_frames=4_000, phase_iterations=24)


def glide(seed: int, seconds: float = 1.2) -> Audio:
    """Five harmonics of a gliding tone over faint noise."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(int(seconds * 16_000)) / 16_000
    low, high = 150 + 300 * torch.rand(2, generator=generator)
    phase = 2 * math.pi * torch.cumsum(torch.linspace(float(low), float(high), len(t)) / 16_000, 0)
    x = sum(torch.sin(k * phase) / k for k in range(1, 6)) * 0.1
    return Audio((x + 0.001 * torch.randn(t.shape, generator=generator))[None], 16_000, f"glide {seed}")


def job(directory: Path, seed: int = 0) -> Job:
    directory.mkdir(exist_ok=True)
    return Job(directory, seed, CPU)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("glides")
    for i in range(24):
        audio.write(root / f"{i}.wav", glide(i))
    write_manifest(root / "manifest.jsonl", [Utterance(id=str(i), audio=f"{i}.wav") for i in range(24)])
    return read_manifest(root / "manifest.jsonl")


def fitted(config: MelRvqConfig, data: Manifest, directory: Path) -> MelRvq:
    MelRvq.fit(config, {}, data, job(directory))
    return MelRvq.load(config, {}, directory, device=CPU, dtype=torch.float32)


@pytest.fixture(scope="module")
def tokenizer(data: Manifest, tmp_path_factory: pytest.TempPathFactory) -> MelRvq:
    return fitted(CONFIG, data, tmp_path_factory.mktemp("fitted"))


@pytest.mark.parametrize("rate", [25, 50, 100])
def test_codes_follow_the_spec_at_every_rate(rate: int, data: Manifest, tmp_path: Path) -> None:
    config = MelRvqConfig(levels=2, clusters=16, frame_rate_hz=rate, sample_frames=1_000)  # type: ignore[arg-type]
    tokenizer = fitted(config, data, tmp_path / "fitted")
    assert isinstance(tokenizer, Decoder)
    streams = spec(config, {}).streams
    assert [(s.name, s.size, s.frame_rate_hz) for s in streams] == [("rvq-0", 16, rate), ("rvq-1", 16, rate)]
    (codes,) = tokenizer.encode([glide(99, 1.01)])
    assert [len(s) for s in codes.streams] == [math.ceil(1.01 * rate)] * 2
    assert all(set(s.tolist()) <= set(range(16)) for s in codes.streams)
    (back,) = tokenizer.decode([codes])
    assert back.samples.shape == (1, len(codes.streams[0]) * 16_000 // rate) and back.sample_rate_hz == 16_000


def test_decoded_speech_is_near_what_was_encoded(tokenizer: MelRvq) -> None:
    unheard = glide(1_000)
    (back,) = tokenizer.decode(tokenizer.encode([unheard]))
    wanted, got = log_mel(unheard.samples[0]), log_mel(back.samples[0])
    error = (got[:, : wanted.shape[1]] - wanted).abs().mean()
    spread = (wanted - wanted.mean(1, keepdim=True)).abs().mean()
    assert error < 0.75 * spread
    first = [
        Codes((c.streams[0], *(torch.full_like(s, 0) for s in c.streams[1:]))) for c in tokenizer.encode([unheard])
    ]
    worse = log_mel(tokenizer.decode(first)[0].samples[0])[:, : wanted.shape[1]]
    assert (worse - wanted).abs().mean() > error


@pytest.mark.parametrize("size", [1, 13])
def test_codes_pushed_in_pieces_are_decoded_as_the_whole(tokenizer: MelRvq, size: int) -> None:
    assert isinstance(tokenizer, StreamingDecoder)
    [codes] = tokenizer.encode([glide(5, 1.9)])
    [whole] = tokenizer.decode([codes])
    session = tokenizer.open()
    parts = zip(*(s.split(size) for s in codes.streams), strict=True)
    pieces = [session.push(Codes(part)) for part in parts]
    assert any(pieces)
    samples = torch.cat([a.samples for a in (*pieces, session.finish()) if a is not None], 1)
    torch.testing.assert_close(samples, whole.samples, atol=1e-3 * float(whole.samples.abs().max()), rtol=0)


def test_a_batch_changes_nothing(tokenizer: MelRvq) -> None:
    audios = [glide(1, 0.7), glide(2, 1.3), glide(3, 0.2)]
    together = tokenizer.encode(audios)
    alone = [tokenizer.encode([a])[0] for a in audios]
    for a, b in zip(together, alone, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.streams, b.streams, strict=True))
    spoken = tokenizer.decode(together)
    assert all(torch.equal(a.samples, tokenizer.decode([c])[0].samples) for a, c in zip(spoken, together, strict=True))


def test_the_same_seed_gives_the_same_file(data: Manifest, tmp_path: Path) -> None:
    small = MelRvqConfig(levels=2, clusters=8, sample_frames=500)
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        MelRvq.fit(small, {}, data, job(tmp_path / name, seed))
    a, b, c = ((tmp_path / name / "codebooks.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_wrong_audio_and_wrong_codes_are_named(tokenizer: MelRvq) -> None:
    with pytest.raises(InvalidAudio, match="expected 16000 Hz with 1 channel"):
        tokenizer.encode([Audio(torch.zeros(1, 800), 8_000)])
    good = torch.zeros(5, dtype=torch.int64)
    with pytest.raises(InvalidCodes, match=r"rvq-3.* holds 24"):
        tokenizer.decode([Codes((good, good, good, good + 24))])
    with pytest.raises(InvalidCodes, match=r"equal length, got \[5, 5, 5, 4\]"):
        tokenizer.decode([Codes((good, good, good, good[:4]))])


def test_too_little_speech_is_refused_with_its_amount(data: Manifest, tmp_path: Path) -> None:
    few = FileManifest(data.rows[:1], data.root)
    with pytest.raises(InvalidManifest, match="256 clusters need as many frames, the training split has 60"):
        MelRvq.fit(MelRvqConfig(), {}, few, job(tmp_path))


@pytest.mark.parametrize("wrong", [{"levels": 0}, {"clusters": 0}, {"sample_frames": 0}, {"phase_iterations": -1}])
def test_impossible_options_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MelRvqConfig(**wrong)  # type: ignore[arg-type]
