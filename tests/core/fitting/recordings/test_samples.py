"""Joining and cutting clips."""

from __future__ import annotations

import numpy as np
import pytest

from areca.fitting.recordings.samples import cut, fade, join

RATE = 1000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def test_clips_are_cut_in_their_silence_and_no_sample_is_lost() -> None:
    silence = np.zeros(round(0.3 * RATE), dtype=np.float32)
    samples = np.concatenate([noise(3.2), silence, noise(2.9, 1), silence, noise(1.0, 2)])
    pieces = cut(samples, RATE, 4.0)
    assert [len(piece) / RATE for piece in pieces] == pytest.approx([3.35, 3.2, 1.15], abs=0.11)
    assert np.array_equal(np.concatenate(pieces), samples)


@pytest.mark.parametrize("seconds", [0.01, 3.9, 4.0, 4.001, 7.9, 8.1, 61.7])
def test_pieces_of_sound_without_a_pause_are_neither_too_long_nor_tiny(seconds: float) -> None:
    samples = noise(seconds)
    pieces = cut(samples, RATE, 4.0)
    assert np.array_equal(np.concatenate(pieces), samples)
    assert max(map(len, pieces)) <= 4000
    assert len(pieces) == 1 or min(map(len, pieces)) >= 1000


def test_clips_of_digital_silence_and_tiny_limits_are_cut() -> None:
    assert sum(map(len, cut(np.zeros(1000, dtype=np.float32), RATE, 0.05))) == 1000


def test_joined_clips_overlap_and_keep_a_constant_level() -> None:
    clips = [np.ones(length, dtype=np.float32) for length in (50, 30, 40)]
    joined = join([clip * fade(len(clip), 10) for clip in clips], 10)
    assert len(joined) == 50 + 30 + 40 - 20
    assert joined[10:-10] == pytest.approx(1.0, abs=1e-6)
    assert joined[0] == pytest.approx(1 / 11)
