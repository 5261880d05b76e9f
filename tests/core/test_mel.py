"""Log-mel features against a direct transform, and the inverse against the original audio."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from areca.errors import InvalidAudio
from areca.mel import LOG_FLOOR, SPEECH, Inversion, MelConfig, count_frames, invert, log_mel

WIDE = MelConfig(n_fft=1024, window=400, mels=40)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator()) * 0.1


def vowels(seconds: float = 1.5) -> torch.Tensor:
    """A gliding voice: 20 harmonics under two moving resonances, fading in and out."""
    t = torch.arange(int(seconds * 16_000)) / 16_000
    pitch = 140 + 30 * torch.sin(2 * math.pi * 1.3 * t)
    phase = 2 * math.pi * torch.cumsum(pitch / 16_000, 0)
    voice = torch.zeros_like(t)
    for k in range(1, 21):
        f = k * pitch
        gain = sum(
            torch.exp(-(((f - c) / 250) ** 2)) for c in (500 + 300 * torch.sin(4 * t), 1500 + 500 * torch.cos(3 * t))
        )
        voice += (gain + 0.02) * torch.sin(k * phase)
    return voice * 0.1 * torch.sin(math.pi * t / seconds) ** 2


def slaney(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def log_mel_by_hand(x: np.ndarray, config: MelConfig, frame: int) -> np.ndarray:
    """One frame with an explicit Fourier sum and explicit triangles, in float64."""
    middle = frame * config.hop + config.hop / 2
    start = int(middle - config.window / 2)
    n = np.arange(config.window)
    inside = (start + n >= 0) & (start + n < len(x))
    samples = np.where(inside, x[np.clip(start + n, 0, len(x) - 1)], 0.0)
    samples = samples * (0.5 - 0.5 * np.cos(2 * np.pi * n / config.window))
    bins = np.arange(config.n_fft // 2 + 1)
    magnitude = np.abs(np.exp(-2j * np.pi * np.outer(bins, n) / config.n_fft) @ samples)
    top = 15 + 27 * math.log(8) / math.log(6.4)
    edges = [slaney(i * top / (config.mels + 1)) for i in range(config.mels + 2)]
    out = []
    for low, middle_hz, high in zip(edges, edges[1:], edges[2:], strict=False):
        hz = bins * config.sample_rate_hz / config.n_fft
        weights = np.interp(hz, [low, middle_hz, high], [0, 1, 0]) * 2 / (high - low)
        out.append(math.log(max(1e-5, float(weights @ magnitude))))
    return np.array(out)


@pytest.mark.parametrize("config", [SPEECH, WIDE], ids=["512", "400 in 1024"])
def test_log_mel_is_the_transform_written_out(config: MelConfig) -> None:
    x = noise(1_700)
    features = log_mel(x, config)
    assert features.shape == (config.mels, 11) and features.dtype == torch.float32
    for frame in (0, 1, 5, 10):
        expected = log_mel_by_hand(x.double().numpy(), config, frame)
        np.testing.assert_allclose(features[:, frame].numpy(), expected, atol=2e-4)


def test_every_band_has_a_filter() -> None:
    assert (log_mel(noise(16_000)) > LOG_FLOOR + 1).all()


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (160, 1), (161, 2), (16_000, 100)])
def test_a_partial_hop_is_a_frame(samples: int, frames: int) -> None:
    assert count_frames(samples) == frames == log_mel(noise(samples)).shape[-1]


def test_padding_changes_no_frame_of_the_shorter_audio() -> None:
    x = noise(5_000)
    padded = torch.nn.functional.pad(x, (0, 9_000))
    batch = torch.stack((padded, noise(14_000)))
    torch.testing.assert_close(log_mel(batch)[0, :, : count_frames(5_000)], log_mel(x), atol=1e-4, rtol=0)
    assert (log_mel(batch)[0, :, count_frames(5_000) + 2 :] == math.log(1e-5)).all()


def test_no_samples_is_an_error() -> None:
    with pytest.raises(InvalidAudio, match=r"T >= 1, got \[2, 0\]"):
        log_mel(torch.zeros(2, 0))


def test_the_inverse_is_close_to_the_original_audio() -> None:
    from pystoi import stoi

    x = vowels()
    y = invert(log_mel(x), generator=generator())
    assert y.shape == x.shape and y.dtype == torch.float32
    assert stoi(x.numpy(), y.numpy(), 16_000) > 0.95
    loud = log_mel(x) > -4  # the floor between harmonics is not what is heard
    assert (log_mel(y) - log_mel(x))[loud].abs().mean() < 0.15


def test_more_iterations_reduce_the_error() -> None:
    wanted = log_mel(vowels(0.8))
    errors = [
        float((log_mel(invert(wanted, generator=generator(), iterations=n)) - wanted).abs().mean()) for n in (0, 4, 32)
    ]
    assert errors[0] > 1.1 * errors[1] > 1.2 * errors[2]


def test_the_inverse_depends_on_the_generator_alone() -> None:
    features = log_mel(noise(2, 3_200))
    torch.manual_seed(1)
    first = invert(features, generator=generator(5), iterations=4)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(first, invert(features, generator=generator(5), iterations=4))
    assert not torch.equal(first, invert(features, generator=generator(6), iterations=4))
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())


def push_all(features: torch.Tensor, size: int, **options: Any) -> list[torch.Tensor]:
    """Invert log-mels `size` frames at a time; the last piece is that of `finish`."""
    inversion = Inversion(generator=generator(), **options)
    return [*(inversion.push(part) for part in features.split(size, 1)), inversion.finish()]


@pytest.mark.parametrize("config", [SPEECH, WIDE], ids=["512", "400 in 1024"])
@pytest.mark.parametrize("iterations", [0, 1, 6])
def test_an_inversion_in_pieces_is_that_of_the_whole(config: MelConfig, iterations: int) -> None:
    features = log_mel(vowels(0.7) + noise(11_200) / 10, config)[:, :67]
    whole = invert(features, generator=generator(), iterations=iterations, config=config)
    sizes = [torch.cat(push_all(features, n, iterations=iterations, config=config)) for n in (1, 9, 67)]
    assert all(torch.equal(samples, sizes[0]) for samples in sizes)
    torch.testing.assert_close(sizes[0], whole, atol=1e-3 * float(whole.abs().max()), rtol=0)


def test_an_inversion_in_pieces_follows_by_its_delay() -> None:
    features = log_mel(vowels(0.7))
    pieces = push_all(features, 1, iterations=6)
    first = next(i for i, samples in enumerate(pieces) if len(samples))
    delay = Inversion(generator=generator(), iterations=6).delay_frames
    assert delay == 3 * 7 + 15 and 16 < first <= delay < features.shape[1]
    assert sum(map(len, pieces[:-1])) >= (features.shape[1] - delay) * SPEECH.hop


@pytest.mark.parametrize("frames", [0, 1, 2, 5])
def test_a_short_inversion_comes_at_its_end(frames: int) -> None:
    features = log_mel(noise(800))[:, :frames]
    *early, rest = push_all(features, 1) if frames else [Inversion(generator=generator()).finish()]
    assert all(len(samples) == 0 for samples in early) and len(rest) == frames * SPEECH.hop
    if frames:
        torch.testing.assert_close(rest, invert(features, generator=generator()))


def test_features_taken_in_inference_mode_leave_training_alone() -> None:
    config = MelConfig(mels=24)  # its filterbank is made here first
    with torch.inference_mode():
        log_mel(noise(800), config)
    x = noise(800).requires_grad_()
    log_mel(x, config).sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_silence_stays_silent() -> None:
    features = log_mel(torch.zeros(3_200))
    assert (features == math.log(1e-5)).all()
    assert invert(features, generator=generator()).abs().max() < 1e-3
