"""Recordings into windows, windows into batches, frames into units: what all encoders share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn import functional

from areca.batching import by_size, round_length

HOP = 320
"""Samples at 16 kHz from one frame of an encoder to the next: 20 ms."""


@dataclass(frozen=True, slots=True)
class Window:
    """What an encoder takes for a piece of a recording.

    Args:
        values: float32 ``[N, D]``.
        frames: how many frames of its output are of the piece, and not of silence or padding behind it.
    """

    values: torch.Tensor
    frames: int


class Encoder(Protocol):
    """A layer of a speech encoder, at 50 frames a second.

    Attributes:
        beyond: samples behind a window that its last frame still hears.
        mixed: whether a batch may hold windows of different lengths.
        row_rate_hz: rows of `Window.values` a second.
    """

    beyond: int
    mixed: bool
    row_rate_hz: int

    def prepare(self, samples: torch.Tensor) -> Window:
        """Return what the encoder takes for float32 ``[T]`` at 16 kHz, T >= 1."""

    def run(self, batch: Sequence[Window]) -> list[torch.Tensor]:
        """Return the layer's output, float32 ``[frames, D]``, of each window; of one length unless `mixed`."""


def cut(samples: torch.Tensor, longest_s: float, beyond: int) -> list[torch.Tensor]:
    """Cut a recording ``[T]`` at 16 kHz into equal windows of at most `longest_s` seconds.

    Equal, so that no short rest is left without context. Cuts lie between pairs of frames, and each window but the
    last goes on for `beyond` samples, so that together they have the frames of the whole.
    """
    pair = 2 * HOP
    most = int(longest_s * 50) // 2 * pair
    size = math.ceil(len(samples) / math.ceil(len(samples) / most) / pair) * pair
    starts = range(0, max(1, len(samples) - beyond), size)
    return [samples[start : start + size + beyond] for start in starts]


def encoded(encoder: Encoder, windows: Sequence[Window], budget: int) -> list[torch.Tensor]:
    """Return the layer's output, float32 ``[frames, D]``, of each window.

    Args:
        encoder: what runs.
        windows: in any order and of any lengths.
        budget: rows of `Window.values` in a batch, padding included.
    """
    sizes = [round_length(len(w.values)) if encoder.mixed else len(w.values) for w in windows]
    outputs: dict[int, torch.Tensor] = {}
    for group in by_size(sizes, budget, mixed=encoder.mixed):
        outputs |= zip(group, encoder.run([windows[i] for i in group]), strict=True)
    return [outputs[i] for i in range(len(windows))]


def pooled(frames: torch.Tensor, frame_rate_hz: int) -> torch.Tensor:
    """Return ``[F, D]`` at 50 Hz, or at 25 Hz the means of pairs ``[ceil(F / 2), D]``; a begun pair counts.

    The mean rather than every second frame: nothing heard is thrown away, a unit stands for the middle of its 40 ms,
    and what changes faster than 25 Hz can show is averaged out instead of folded back.
    """
    if frame_rate_hz == 50:
        return frames
    return functional.avg_pool1d(frames.T[None], 2, ceil_mode=True)[0].T
