"""A picture of a recording, small enough to be part of a page."""

from __future__ import annotations

import torch

from areca.types import Audio

COLUMNS, HEIGHT = 180, 49
"""Size of the picture; each column shows the lowest and the highest sample of its share of the recording."""
_QUIETEST = 0.01
"""Peak (of full scale) below which a recording is drawn small: what is nearly silent must not look like speech."""


def waveform(audio: Audio) -> str:
    """Return the envelope of all channels as inline SVG, about 2 kB; the loudest sample reaches the picture's edge."""
    samples = audio.samples.flatten() if audio.channels == 1 else audio.samples.T.flatten()
    peak = max(float(samples.abs().max()), _QUIETEST)
    columns = samples.tensor_split(min(COLUMNS, len(samples)))
    lows = torch.stack([c.min() for c in columns])
    highs = torch.stack([c.max() for c in columns])
    # A sample of 1 is at 0 and one of -1 at HEIGHT - 1, so that a silent column is still one unit high.
    tops, bottoms = (((peak - edge) / (2 * peak) * (HEIGHT - 1)).round().int().tolist() for edge in (highs, lows))
    path = "".join(f"M{x} {top}V{bottom + 1}" for x, (top, bottom) in enumerate(zip(tops, bottoms, strict=True)))
    return (
        f'<svg viewBox="-0.5 0 {len(columns)} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="{path}"/></svg>'
    )
