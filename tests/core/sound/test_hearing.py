"""Checks of a recording before a component receives it."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from areca.audio import conform, read
from areca.errors import ArecaWarning, InvalidAudio
from areca.sound.arrays import is_recording, to_audio
from areca.sound.hearing import prepare_voice, require_audible, trim_silence
from areca.types import Audio

RATE = 16_000


def tone(seconds: float, peak: float = 0.5, channels: int = 1) -> torch.Tensor:
    t = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    return (peak * torch.sin(2 * math.pi * 300 * t)).float().expand(channels, -1).contiguous()


def test_channels_that_cancel_each_other_give_the_louder_and_warn() -> None:
    left = tone(0.5)
    for right in (-left, -0.97 * left, -left * (1 - 1e-3 * torch.rand(left.shape))):
        with pytest.warns(ArecaWarning, match=r"anti\.wav: the 2 channels cancel each other .* channel 1 is used"):
            mixed = conform(Audio(torch.cat([left, right]), RATE, "anti.wav"), RATE, 1)
        assert torch.equal(mixed.samples, left)


@pytest.mark.parametrize("kind", ["same", "one silent", "unlike", "half against", "both silent", "eight"])
def test_channels_that_do_not_cancel_are_mixed_without_a_warning(kind: str) -> None:
    left, other = tone(0.5), 0.1 * torch.randn(1, 8_000, generator=torch.Generator().manual_seed(0))
    channels = {
        "same": [left, left],
        "one silent": [left, 0 * left],
        "unlike": [left, other],
        "half against": [left, -0.5 * left],
        "both silent": [0 * left, 0 * left],
        "eight": [left, *[0 * left] * 7],
    }[kind]
    audio = Audio(torch.cat(channels), RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(conform(audio, RATE, 1).samples, audio.samples.mean(dim=0, keepdim=True))


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (torch.zeros(1, RATE), "is silent"),
        (1e-6 * torch.randn(1, RATE), "is silent"),
        (torch.full((2, RATE), 0.3), "is silent"),
        (torch.ones(1, 1), r"lasts 6\.25e-05 s, expected 0\.02 s or more"),
        (tone(0.01), r"lasts 0\.01 s, expected 0\.02 s or more"),
        (
            tone(1.0, 22_900.0),
            r".*got a peak of 22\d\d\d.*16-bit integers stored as floats\? .*samples / 32768, 16000",
        ),
        (tone(1.0, 8.5), ".*got a peak of 8.5"),
    ],
)
def test_silent_and_short_recordings_are_refused(samples: torch.Tensor, says: str) -> None:
    with pytest.raises(InvalidAudio, match=rf"x\.wav: {says}"):
        require_audible(Audio(samples, RATE, "x.wav"))


@pytest.mark.parametrize("samples", [tone(0.02), tone(1.0, 1e-4), tone(1.0, 7.9), tone(1.0, 1.5)])
def test_audible_recordings_are_unchanged(samples: torch.Tensor) -> None:
    audio = Audio(samples, RATE)
    assert require_audible(audio) is audio
    with pytest.raises(InvalidAudio, match=r"lasts 1 s, expected 1\.5 s or more"):
        require_audible(Audio(tone(1.0), RATE), 1.5)


def test_a_file_of_integers_as_floats_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 32_767 * tone(0.1)[0].numpy(), RATE, subtype="FLOAT")
    with pytest.raises(InvalidAudio, match=r"a\.wav: .* got a peak of 16\d\d\d"):
        read(tmp_path / "a.wav")


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize(("before_s", "behind_s"), [(3.0, 0.0), (0.0, 10.0), (0.25, 3.0), (0.0, 0.0), (0.19, 0.15)])
def test_long_silence_is_shortened_and_short_left(noise: float, before_s: float, behind_s: float) -> None:
    sound = torch.nn.functional.pad(tone(1.0), (round(before_s * RATE), round(behind_s * RATE)))
    audio = Audio(sound + noise * torch.randn(sound.shape, generator=torch.Generator().manual_seed(0)), RATE, "a")
    trimmed, first_s, last_s = trim_silence(audio, 0.2, 0.05)
    expected = [silence - 0.05 if silence > 0.2 else 0.0 for silence in (before_s, behind_s)]
    assert [first_s, last_s] == pytest.approx(expected, abs=0.011)
    start = round(first_s * RATE)
    assert torch.equal(trimmed.samples, audio.samples[:, start : start + trimmed.samples.shape[1]])
    assert trimmed.seconds == pytest.approx(audio.seconds - first_s - last_s, abs=1e-4)
    assert (trimmed is audio) == (expected == [0.0, 0.0])


def test_silence_inside_is_kept_and_all_silence_stays() -> None:
    gap = Audio(torch.cat([tone(0.5), torch.zeros(1, 3 * RATE), tone(0.5)], dim=1), RATE)
    assert trim_silence(gap, 0.2, 0.05)[0] is gap
    nothing = Audio(torch.zeros(1, RATE), RATE)
    assert trim_silence(nothing, 0.2, 0.05)[0] is nothing


@pytest.mark.parametrize(
    ("samples", "channels"),
    [
        (np.array([0, 16_384, -32_768], np.int16), 1),
        (np.array([0, 2**30, -(2**31)], np.int32), 1),
        (np.array([128, 192, 0], np.uint8), 1),
        (np.array([0, 0.5, -1.0]), 1),
        (np.array([[0, 0.5, -1.0]] * 2, np.float16), 2),
        (np.array([0, 16_384, -32_768], ">i2"), 1),
        (np.array([9, 0, 9, 0.5, 9, -1.0])[1::2], 1),
        (torch.tensor([0, 16_384, -32_768], dtype=torch.int16), 1),
        (torch.tensor([[0, 0.5, -1.0]] * 2, requires_grad=True), 2),
    ],
)
def test_arrays_of_the_usual_types_are_the_same_audio(samples: Any, channels: int) -> None:
    audio = to_audio((samples, np.int64(8_000)))
    assert (audio.sample_rate_hz, audio.samples.dtype) == (8_000, torch.float32)
    assert audio.samples.tolist() == [[0.0, 0.5, -1.0]] * channels


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.zeros(9), r"does not contain its sample rate: give \(array, rate\)"),
        ((16_000, np.zeros(9)), r"got \(rate, array\): swap them"),
        ((np.zeros(9), "16 kHz"), "expected a sample rate in whole Hz, got '16 kHz'"),
        ((np.zeros(9), 0), "expected a sample rate"),
        ((np.zeros(9), True), "expected a sample rate"),
        ((np.zeros(9), float("nan")), "expected a sample rate"),
        ((np.zeros((9, 2)), 8_000), r"got \[9, 2\]: give array\.T"),
        ((np.zeros((1, 2, 9)), 8_000), r"expected shape \[T\] or \[C, T\], got \[1, 2, 9\]"),
        ((np.zeros(0), 8_000), r"got \[0\]"),
        ((np.zeros(9, np.int64), 8_000), "got torch.int64: the range is not known"),
        ((np.zeros(9, complex), 8_000), "got torch.complex128"),
        ((np.array(["a"]), 8_000), "expected float or integer samples, got <U1"),
        ((np.array([0.0, np.nan]), 8_000), "has NaN"),
    ],
)
def test_arrays_that_cannot_be_audio(value: Any, says: str) -> None:
    assert is_recording(value)
    with pytest.raises(InvalidAudio, match=rf"array: .*{says}|{says}"):
        to_audio(value)


def test_a_voice_prompt_is_cut_to_its_sound() -> None:
    silence = torch.zeros(2, RATE)
    sound = Audio(torch.cat([silence, tone(5.0, channels=2), silence], dim=1), RATE, "me.wav")
    voice = prepare_voice(sound, 3.0)
    assert (voice.seconds, voice.channels, voice.name) == (3.0, 2, "me.wav")
    assert float(voice.samples[:, : RATE // 5].abs().max()) > 0.4, "the silence before it is shortened"
    assert prepare_voice(Audio(tone(0.4), RATE), 3.0).seconds == 0.4


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (torch.zeros(1, RATE), "me.wav: is silent"),
        (tone(0.2), "me.wav: has 0.2 s of sound, expected 0.3 s or more in a voice prompt"),
        (torch.cat([tone(0.05), torch.zeros(1, RATE)], dim=1), "me.wav: has 0.15 s of sound, expected 0.3 s"),
    ],
)
def test_a_voice_prompt_that_is_too_short_or_silent_is_named(samples: torch.Tensor, message: str) -> None:
    with pytest.raises(InvalidAudio, match=re.escape(message)):
        prepare_voice(Audio(samples, RATE, "me.wav"), 3.0)
