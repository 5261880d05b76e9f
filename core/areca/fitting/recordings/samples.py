"""Trim the silence around speech, set its level, and join or cut clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
_FRAME_S = 0.01
_BELOW_PEAK_DB = 38.0
"""Frames that are quieter than the loudest one by this much are silence; final fricatives are 20 to 35 dB quieter."""
_LEVEL = 0.08
"""Root mean square of speech, 22 dB below full scale."""
_PEAK = 0.95
"""Largest sample."""
_QUIET_S = 0.1
"""Length of the silence at which clips are cut."""


def set_level(samples: Samples) -> Samples:
    """Scale ``[T]`` to a root mean square of 0.08, or to a peak of 0.95 if that is quieter."""
    gain = _LEVEL / max(float(np.sqrt(np.mean(samples**2))), 1e-6)
    return samples * np.float32(min(gain, _PEAK / max(float(np.abs(samples).max()), 1e-6)))


def trim(samples: Samples, sample_rate_hz: int, margin_s: float) -> Samples:
    """Remove the silence at both ends of ``[T]`` except for at most `margin_s` seconds."""
    frame = round(_FRAME_S * sample_rate_hz)
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
    if not len(whole):
        return samples
    power = np.mean(whole.astype(np.float64) ** 2, axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-_BELOW_PEAK_DB / 10))
    if not len(loud):  # digital silence
        return samples
    margin = round(margin_s * sample_rate_hz)
    return samples[max(0, loud[0] * frame - margin) : (loud[-1] + 1) * frame + margin]


def fade(length: int, overlap: int) -> Samples:
    """Return a gain ``[length]`` that rises over `overlap` samples and falls again; overlapping gains sum to one."""
    ramp = np.linspace(0, 1, overlap + 2, dtype=np.float32)[1:-1]
    gain = np.ones(length, dtype=np.float32)
    n = min(len(ramp), length // 2)
    gain[:n] = ramp[:n]
    gain[length - n :] = ramp[:n][::-1]
    return gain


def join(clips: Sequence[Samples], overlap: int) -> Samples:
    """Add up clips that overlap by `overlap` samples. Each is longer than that and was multiplied by `fade`."""
    joined = np.zeros(sum(map(len, clips)) - overlap * (len(clips) - 1), dtype=np.float32)
    start = 0
    for clip in clips:
        joined[start : start + len(clip)] += clip
        start += len(clip) - overlap
    return joined


def cut(samples: Samples, sample_rate_hz: int, longest_s: float) -> list[Samples]:
    """Cut ``[T]`` at its quietest places into pieces of at most `longest_s` seconds, of which no sample is lost.

    Each place is the middle of the quietest 0.1 s in the second half of the longest piece, or earlier where little
    would be left after it.
    """
    limit, window = round(longest_s * sample_rate_hz), round(_QUIET_S * sample_rate_hz)
    pieces = []
    while len(samples) > limit:
        first, stop = limit // 2, min(limit, len(samples) - limit // 4)
        power = np.cumsum(samples[first:stop].astype(np.float64) ** 2)
        quietest = int(np.argmin(power[window:] - power[:-window])) if len(power) > window else 0
        place = first + quietest + min(window, len(power)) // 2
        pieces.append(samples[:place])
        samples = samples[place:]
    return [*pieces, samples]
