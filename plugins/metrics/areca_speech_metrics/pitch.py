"""The fundamental frequency of speech, by the autocorrelation method of Boersma (1993).

P. Boersma: Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled
sound, IFA Proceedings 17. Parameters have the values that the method's own program, Praat, uses by default.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from areca.types import Audio

Array = NDArray[np.float64]
HOP_S = 0.01
"""Seconds from one frame to the next."""
LOWEST_HZ, HIGHEST_HZ = 75.0, 600.0
"""Range of the fundamental frequency."""
_WINDOW_S = 3 / LOWEST_HZ
_CANDIDATES = 6
_SILENCE, _VOICING = 0.03, 0.45
"""Thresholds: of a frame's peak by that of the recording, and of the autocorrelation."""
_OCTAVE, _JUMP, _SWITCH = 0.01, 0.35, 0.14
"""Costs: of an octave downwards, of a jump by an octave, and of a change between voiced and unvoiced."""


def track_pitch(audio: Audio) -> Array:
    """Return the fundamental frequency in Hz of each frame, NaN where it is unvoiced.

    Args:
        audio: mono speech.

    Returns:
        float64 ``[F]``; frame i is centred at ``(i + 0.5) * HOP_S`` seconds.
    """
    samples = audio.samples[0].numpy().astype(np.float64)
    frames = cut_frames(samples - samples.mean(), audio.sample_rate_hz, _WINDOW_S)
    frequency, strength = _find_candidates(frames, audio.sample_rate_hz)
    peak = np.abs(frames).max(axis=1) / max(float(np.abs(frames).max()), 1e-12)
    strength[:, 0] = _VOICING + np.maximum(0.0, 2.0 - peak * (1 + _VOICING) / _SILENCE)
    return _choose(frequency, strength)


def cut_frames(samples: Array, rate_hz: int, window_s: float) -> Array:
    """Return the frames ``[F, W]`` of a recording ``[T]``, one for each full or partial hop, padded with silence."""
    hop, size = round(HOP_S * rate_hz), 2 * round(window_s * rate_hz / 2)
    count = -(-len(samples) // hop)
    before = (size - hop) // 2
    padded = np.pad(samples, (before, count * hop + size - before - len(samples)))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[: count * hop : hop].copy()


def _find_candidates(frames: Array, rate_hz: int) -> tuple[Array, Array]:
    """Return frequency and strength ``[F, 1 + C]`` of each frame's candidates; the first one is unvoiced (NaN)."""
    correlation = _autocorrelate(frames)
    lags = np.arange(int(rate_hz / HIGHEST_HZ), int(rate_hz / LOWEST_HZ) + 1)
    left, middle, right = (correlation[:, lags + shift] for shift in (-1, 0, 1))
    # A parabola through three samples gives the place and the height of a maximum between samples.
    curvature = np.minimum(left - 2 * middle + right, -1e-12)
    shift = (left - right) / (2 * curvature)
    height = middle - (left - right) * shift / 4
    frequency = rate_hz / (lags + np.clip(shift, -1, 1))
    strength = np.minimum(height, 1.0) + _OCTAVE * np.log2(frequency / LOWEST_HZ)
    strength[~((middle > left) & (middle >= right) & (middle > 0))] = -np.inf
    best = np.argsort(-strength, axis=1, kind="stable")[:, :_CANDIDATES]
    frequency, strength = (np.take_along_axis(x, best, axis=1) for x in (frequency, strength))
    return (np.pad(x, ((0, 0), (1, 0)), constant_values=np.nan) for x in (frequency, strength))  # type: ignore[return-value]


def _autocorrelate(frames: Array) -> Array:
    """Return the autocorrelation of windowed frames, divided by that of the window."""
    size = frames.shape[1]
    window = np.hanning(size + 2)[1:-1]
    spans = (frames - frames.mean(axis=1, keepdims=True)) * window, window[None]
    of_frames, of_window = (np.fft.irfft(np.abs(np.fft.rfft(span, 2 * size)) ** 2)[:, : size // 2] for span in spans)
    normalised: Array = of_frames / np.maximum(of_frames[:, :1], 1e-12) / (of_window / of_window[:, :1])
    return normalised


def _choose(frequency: Array, strength: Array) -> Array:
    """Return the frequencies of the strongest path through the candidates (Viterbi)."""
    score, back = strength[0], []
    octave = np.log2(frequency)
    for t in range(1, len(strength)):
        total = score[:, None] - _transition(octave[t - 1], octave[t])
        back.append(total.argmax(axis=0))
        score = total.max(axis=0) + strength[t]
    path = [int(score.argmax())]
    for of_frame in reversed(back):
        path.append(int(of_frame[path[-1]]))
    chosen: Array = frequency[np.arange(len(path)), path[::-1]]
    return chosen


def _transition(before: Array, after: Array) -> Any:
    jump = _JUMP * np.abs(before[:, None] - after)
    unvoiced = np.isnan(before)[:, None] ^ np.isnan(after)
    return np.where(unvoiced, _SWITCH, np.nan_to_num(jump))
