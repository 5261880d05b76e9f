"""Values and noise of the mu-law."""

from __future__ import annotations

import math

import pytest
import torch
from areca.types import Audio

from areca_acme_tokenizer import MulawConfig
from areca_acme_tokenizer.mulaw import Mulaw

RATE_HZ = 4_000


def _tone(peak: float) -> Audio:
    times_s = torch.arange(RATE_HZ) / RATE_HZ
    return Audio(peak * torch.sin(2 * torch.pi * 317 * times_s)[None], RATE_HZ)


def _decibels(audio: Audio, decoded: Audio) -> float:
    noise = (audio.samples - decoded.samples).square().mean()
    return float(10 * torch.log10(audio.samples.square().mean() / noise))


@pytest.mark.parametrize("peak", [1.0, 0.3, 0.1, 0.03])
def test_noise_is_low_at_any_loudness(peak: float) -> None:
    tokenizer = Mulaw(MulawConfig())
    audio = _tone(peak)
    [decoded] = tokenizer.decode(tokenizer.encode([audio]))
    assert _decibels(audio, decoded) > 32  # linear quantisation with 256 levels would have 17 dB at the lowest peak


@pytest.mark.parametrize(("sample", "token"), [(-1.0, 0), (1.0, 255), (1e-6, 128), (-1e-6, 127), (2.0, 255)])
def test_samples_at_the_ends_and_around_zero(sample: float, token: int) -> None:
    [codes] = Mulaw(MulawConfig()).encode([Audio(torch.tensor([[sample]]), RATE_HZ)])
    assert codes.streams[0].tolist() == [token]


def test_half_of_the_levels_are_below_a_sixteenth() -> None:
    codes = Mulaw(MulawConfig()).encode([Audio(torch.tensor([[1 / 16]]), RATE_HZ)])[0].streams[0]
    expected = 128 + math.floor(128 * math.log(1 + 255 / 16) / math.log(256))
    assert codes.tolist() == [expected]
