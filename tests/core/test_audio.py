"""Audio files are read, written, resampled and mixed down without loss beyond the formats' limits."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from areca.audio import conform, header, read, write
from areca.errors import InvalidAudio
from areca.types import Audio

RATE = 16_000


def sine(seconds: float, hz: float = 440.0, rate: int = RATE, channels: int = 1) -> Audio:
    t = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return Audio((0.5 * torch.sin(2 * math.pi * hz * t)).float().expand(channels, -1).contiguous(), rate)


def cut(path: Path, share: float) -> Path:
    """Leave the first `share` of a file's bytes."""
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * share)])
    return path


def peak_hz(audio: Audio) -> float:
    spectrum = np.abs(np.fft.rfft(audio.samples[0].numpy() * np.hanning(audio.samples.shape[1])))
    return float(spectrum.argmax()) * audio.sample_rate_hz / audio.samples.shape[1]


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("channels", [1, 2])
def test_sixteen_bits_survive_bit_for_bit(tmp_path: Path, suffix: str, channels: int) -> None:
    whole = torch.randint(-32768, 32768, (channels, 999), generator=torch.Generator().manual_seed(1))
    path = tmp_path / f"a{suffix}"
    write(path, Audio(whole.float() / 32768, 22_050))
    back = read(path)
    assert back.sample_rate_hz == 22_050
    assert torch.equal((back.samples * 32768).long(), whole)
    assert soundfile.info(path).subtype == "PCM_16"


def test_writing_clips_and_does_not_wrap(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", Audio(torch.tensor([[1.5, 1.0, -1.0, -3.0, 0.0]]), RATE))
    assert read(tmp_path / "a.wav").samples[0].tolist() == [32767 / 32768, 32767 / 32768, -1.0, -1.0, 0.0]


def test_writing_replaces_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    write(path, sine(0.1))
    write(path, sine(0.2))
    assert read(path).seconds == pytest.approx(0.2)
    with pytest.raises(InvalidAudio, match=r"use \.wav or \.flac"):
        write(tmp_path / "a.mp3", sine(0.1))
    with pytest.raises(InvalidAudio, match="cannot be written"):
        write(path, sine(0.1, rate=3_000_000))  # FLAC knows no such rate
    assert read(path).seconds == pytest.approx(0.2)
    assert [p.name for p in tmp_path.iterdir()] == ["a.flac"]


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_soundfile_formats_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, sine(1.0, rate=44_100, channels=2).samples.T.numpy(), 44_100)
    audio = read(path)
    assert (audio.sample_rate_hz, audio.channels) == (44_100, 2)
    assert audio.seconds == pytest.approx(1.0, abs=0.06)
    assert peak_hz(audio) == pytest.approx(440, abs=2)
    assert header(path).seconds == pytest.approx(audio.seconds, abs=1e-3)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_part_of_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write(path, sine(1.0))
    whole = read(path).samples
    part = read(path, offset_s=0.25, duration_s=0.5)
    assert torch.equal(part.samples, whole[:, RATE // 4 : 3 * RATE // 4])
    assert torch.equal(read(path, offset_s=0.75).samples, whole[:, 3 * RATE // 4 :])
    with pytest.raises(InvalidAudio, match="expected samples from 7 s on, got none"):
        read(path, offset_s=7.0)


def test_float_wave_keeps_its_samples(tmp_path: Path) -> None:
    samples = np.array([0.1, -0.7, 1.25], dtype=np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    assert read(tmp_path / "a.wav").samples[0].numpy().tolist() == samples.tolist()


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("share", [0.1, 0.6])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    soundfile.write(path, noise, RATE)
    cut(path, share)
    with pytest.raises(InvalidAudio, match=str(path)):
        read(path)


def test_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    def refused(name: str, match: str) -> None:
        for function in (read, header):
            with pytest.raises(InvalidAudio, match=match) as raised:
                function(tmp_path / name)
            assert name in str(raised.value)

    refused("nowhere.wav", "no such file")
    (tmp_path / "folder.wav").mkdir()
    refused("folder.wav", "expected a file")
    (tmp_path / "empty.wav").touch()
    refused("empty.wav", "is empty")
    (tmp_path / "text.wav").write_text("this is no sound at all\n" * 30)
    refused("text.wav", "not audio that can be decoded: the file is text: 'this is no sound")
    soundfile.write(tmp_path / "none.wav", np.zeros(0, dtype=np.float32), RATE)
    refused("none.wav", "expected samples from 0 s on, got none|a file without samples")
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan], dtype=np.float32), RATE, subtype="FLOAT")
    with pytest.raises(InvalidAudio, match=r"nan\.wav: has NaN"):
        read(tmp_path / "nan.wav")


@pytest.mark.parametrize("rate", [8_000, 11_025, 11_127, 22_050, 44_100, 48_000])
def test_conform_resamples_to_the_same_sound(rate: int) -> None:
    audio = conform(sine(0.5, hz=500.0, rate=rate), RATE, 1)
    expected = sine(0.5, hz=500.0).samples[0]
    assert audio.sample_rate_hz == RATE
    assert audio.samples.shape[1] == pytest.approx(RATE / 2, abs=2)
    n = min(audio.samples.shape[1], len(expected)) - 400
    assert (audio.samples[0, 400:n] - expected[400:n]).abs().max() < 0.01  # ends have no neighbours


@pytest.mark.parametrize(("rate", "channels"), [(22_050, 1), (8_000, 2), (48_000, 2), (44_100, 1)])
def test_conform_is_torchaudios_resampling(rate: int, channels: int) -> None:
    samples = torch.randn(channels, 20_001, generator=torch.Generator().manual_seed(0))
    expected = torchaudio.functional.resample(samples.double(), rate, RATE).float()
    actual = conform(Audio(samples, rate), RATE, channels).samples
    assert actual.shape == expected.shape
    assert torch.allclose(actual, expected, atol=1e-5)


def test_conform_removes_what_the_new_rate_cannot_hold() -> None:
    audio = conform(sine(0.5, hz=6_000.0), 8_000, 1)
    assert audio.samples[0, 200:-200].abs().max() < 0.02


def test_conform_mixes_down_and_repeats() -> None:
    two = Audio(torch.tensor([[1.0, 0.0, 0.5], [0.0, 0.0, -0.5]]), RATE, name="two.wav")
    assert conform(two, RATE, 1).samples.tolist() == [[0.5, 0.0, 0.0]]
    one = Audio(two.samples[:1], RATE)
    assert conform(one, RATE, 2).samples.tolist() == [[1.0, 0.0, 0.5]] * 2
    assert conform(one, RATE, 1) is one
    with pytest.raises(InvalidAudio, match=r"two\.wav: 2 channels cannot become 3"):
        conform(two, RATE, 3)


@pytest.mark.parametrize("to_hz", [8_000, 16_000, 24_000, 44_100])
@pytest.mark.parametrize(
    "from_hz", [1, 999, 7_999, 15_993, 16_001, 16_008, 44_099, 48_001, 655_350, 33_000_000, 50_000_000]
)
def test_any_rate_becomes_any_other(from_hz: int, to_hz: int) -> None:
    length = max(1, min(3 * from_hz, 20_000))
    noise = 0.1 * torch.randn(1, length, generator=torch.Generator().manual_seed(from_hz))
    made = conform(Audio(noise, from_hz), to_hz, 1)
    assert made.sample_rate_hz == to_hz
    assert made.samples.shape[1] == pytest.approx(length * to_hz / from_hz, abs=1 + 1e-6 * length * to_hz / from_hz)
    assert bool(made.samples.isfinite().all())


@pytest.mark.parametrize("rate", [15_993, 15_999, 16_001, 16_008, 8_001, 47_999, 11_127])
def test_rates_near_a_simple_ratio_keep_pitch_and_length(rate: int) -> None:
    made = conform(sine(1.0, hz=500.0, rate=rate), RATE, 1).samples[0]
    expected = sine(1.0, hz=500.0).samples[0]
    assert len(made) == pytest.approx(RATE, abs=1)
    assert (made[400:15_600] - expected[400:15_600]).abs().max() < 0.002


def test_too_many_samples_are_refused() -> None:
    with pytest.raises(InvalidAudio, match="slow: 5000 s at 1 Hz are 80000000 samples at 16000 Hz, more than 57600000"):
        conform(Audio(torch.ones(1, 5_000), 1, "slow"), RATE, 1)
