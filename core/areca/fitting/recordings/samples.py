"""Trim the silence around speech, and set its level."""

from __future__ import annotations

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
