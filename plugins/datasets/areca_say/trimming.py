"""Where speech begins and ends."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_FRAME_S = 0.01
_BELOW_PEAK_DB = 38.0
"""Fainter than this under the loudest frame is silence; final fricatives are 20 to 35 dB under a vowel."""


def trim(samples: npt.NDArray[np.float32], sample_rate_hz: int, margin_s: float) -> npt.NDArray[np.float32]:
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
