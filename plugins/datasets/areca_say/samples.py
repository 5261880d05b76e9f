"""Trim silence, and set the level of speech."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
_FRAME_S = 0.01
_BELOW_PEAK_DB = 38.0
"""Frames this far below the loudest are silence; final fricatives are 20 to 35 dB below a vowel."""


_LEVEL = 0.08
_PEAK = 0.95


def set_level(samples: Samples) -> Samples:
    """Bring ``[T]`` to a root mean square of 0.08 (22 dB below full scale), or as near as its peak allows."""
    gain = _LEVEL / max(float(np.sqrt(np.mean(samples**2))), 1e-6)
    return samples * np.float32(min(gain, _PEAK / max(float(np.abs(samples).max()), 1e-6)))


def trim(samples: Samples, sample_rate_hz: int, margin_s: float) -> Samples:
    """Cut silence off both ends of ``[T]``, leaving at most `margin_s` seconds of it."""
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
