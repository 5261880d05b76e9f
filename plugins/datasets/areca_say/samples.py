"""Where speech begins and ends, and how loud it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
_FRAME_S = 0.01
_BELOW_PEAK_DB = 38.0
"""Fainter than this under the loudest frame is silence; final fricatives are 20 to 35 dB under a vowel."""


_LEVEL = 0.08
_PEAK = 0.95


def levelled(samples: Samples) -> Samples:
    """Bring ``[T]`` to a root mean square of 0.08 (22 dB below full scale), or as near as its peak allows."""
    gain = _LEVEL / max(float(np.sqrt(np.mean(samples**2))), 1e-6)
    return samples * np.float32(min(gain, _PEAK / max(float(np.abs(samples).max()), 1e-6)))


def trim(samples: Samples, sample_rate_hz: int, margin_s: float) -> Samples:
    """Cut silence off both ends of ``[T]``, leaving `margin_s` seconds of it where there is as much."""
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
