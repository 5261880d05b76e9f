"""Cut recordings into windows, encode windows in batches, and pool frames: common to all encoders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn import functional

from areca.batching import bucket, by_length, round_length

HOP = 320
"""Samples at 16 kHz from one frame of an encoder to the next: 20 ms."""


@dataclass(frozen=True, slots=True)
class Window:
    """An encoder's input for a piece of a recording.

    Args:
        values: float32 ``[N, D]``.
        frames: number of output frames that belong to the piece, not to the silence or padding after it.
    """

    values: torch.Tensor
    frames: int


class Encoder(Protocol):
    """A layer of a speech encoder, at 50 frames per second.

    Attributes:
        lookahead: samples after a window that are in the receptive field of its last frame.
        mixed: whether a batch may hold windows of different lengths.
        row_rate_hz: rows of `Window.values` per second.
    """

    lookahead: int
    mixed: bool
    row_rate_hz: int

    def prepare(self, samples: torch.Tensor) -> Window:
        """Return the encoder's input for samples, float32 ``[T]`` at 16 kHz, T >= 1."""

    def run(self, batch: Sequence[Window]) -> list[torch.Tensor]:
        """Return the layer's output, float32 ``[frames, D]``, for each window. All have one length unless `mixed`."""


def cut_windows(samples: torch.Tensor, longest_s: float, lookahead: int) -> list[torch.Tensor]:
    """Cut a recording, float32 ``[T]`` at 16 kHz, into equal windows of at most `longest_s` seconds.

    The windows are equal so that no short remainder is left without context. Cuts are between pairs of frames, and each
    window except the last includes `lookahead` more samples, so that the windows together have the recording's frames.
    """
    pair = 2 * HOP
    most = int(longest_s * 50) // 2 * pair
    size = math.ceil(len(samples) / math.ceil(len(samples) / most) / pair) * pair
    starts = range(0, max(1, len(samples) - lookahead), size)
    return [samples[start : start + size + lookahead] for start in starts]


def run_encoder(encoder: Encoder, windows: Sequence[Window], budget: int) -> list[torch.Tensor]:
    """Encode windows in batches and return the layer's output, float32 ``[frames, D]``, for each window.

    Args:
        encoder: the encoder.
        windows: windows of any lengths, in any order.
        budget: maximum number of rows of `Window.values` in a batch, padding included.
    """
    sizes = [round_length(len(w.values)) if encoder.mixed else len(w.values) for w in windows]
    outputs: dict[int, torch.Tensor] = {}
    for positions in bucket(sizes, budget, order=by_length(sizes), mixed=encoder.mixed):
        group = positions.tolist()
        outputs |= zip(group, encoder.run([windows[i] for i in group]), strict=True)
    return [outputs[i] for i in range(len(windows))]


def pool_frames(frames: torch.Tensor, frame_rate_hz: int) -> torch.Tensor:
    """Return frames ``[F, D]`` unchanged at 50 Hz, or the means of pairs ``[ceil(F / 2), D]`` at 25 Hz.

    A single last frame counts as a pair. Pairs are averaged, not skipped: no frame is lost, a unit represents the
    centre of its 40 ms, and changes too fast for 25 Hz are averaged out instead of aliased.
    """
    if frame_rate_hz == 50:
        return frames
    return functional.avg_pool1d(frames.T[None], 2, ceil_mode=True)[0].T
