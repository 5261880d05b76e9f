"""Draw the waveform of a recording as a small SVG image for a page."""

from __future__ import annotations

import torch

from areca.types import Audio

COLUMNS, HEIGHT = 180, 49
"""Size of the image; each column shows the lowest and the highest sample of its part of the recording."""
_QUIETEST = 0.01
"""Peaks below this (relative to full scale) are not enlarged, so that near silence does not look like speech."""


def draw_waveform(audio: Audio) -> str:
    """Return the envelope of all channels as inline SVG, about 2 kB; the loudest sample reaches the image's edge."""
    samples = audio.samples.flatten() if audio.channels == 1 else audio.samples.T.flatten()
    peak = max(float(samples.abs().max()), _QUIETEST)
    columns = samples.tensor_split(min(COLUMNS, len(samples)))
    lows = torch.stack([c.min() for c in columns])
    highs = torch.stack([c.max() for c in columns])
    # The range is HEIGHT - 1, so that a silent column is still one unit high.
    tops, bottoms = (((peak - edge) / (2 * peak) * (HEIGHT - 1)).round().int().tolist() for edge in (highs, lows))
    path = "".join(f"M{x} {top}V{bottom + 1}" for x, (top, bottom) in enumerate(zip(tops, bottoms, strict=True)))
    return (
        f'<svg viewBox="-0.5 0 {len(columns)} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="{path}"/></svg>'
    )
