"""Another sample rate: torchaudio's band-limited sinc, as a table where the rates have a simple ratio."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

import torch
import torchaudio

_LARGEST_FACTOR = 1000
_CLOSE = 1e-6  # a simple ratio this near to the true one shifts nothing that can be heard
_BLOCK = 8192
_WIDTH, _ROLLOFF = 6, 0.99  # torchaudio's: zero crossings of the sinc to each side, band kept
_WEIGHTS = 1 << 19  # of the sinc that are computed at once


def resampled_length(length: int, from_hz: int, to_hz: int) -> int:
    """Return how many samples `length` samples become."""
    return -(-length * to_hz // from_hz)


def resampled(samples: torch.Tensor, from_hz: int, to_hz: int) -> torch.Tensor:
    """Resample float32 ``[C, T]``."""
    ratio = Fraction(to_hz, from_hz).limit_denominator(_LARGEST_FACTOR)
    if ratio.numerator in range(1, 1 + _LARGEST_FACTOR**2) and abs(ratio * from_hz / to_hz - 1) < _CLOSE and ratio != 1:
        return _by_table(samples, ratio)
    return _by_weights(samples, from_hz, to_hz)


@dataclass(frozen=True, slots=True)
class _Filter:
    kernel: torch.Tensor  # float32 [K, up]
    width: int
    down: int


@functools.lru_cache(maxsize=16)
def _filter(ratio: Fraction) -> _Filter:
    resample = torchaudio.transforms.Resample(ratio.denominator, ratio.numerator, dtype=torch.float64)
    return _Filter(resample.kernel[:, 0].T.float().contiguous(), resample.width, ratio.denominator)


def _by_table(samples: torch.Tensor, ratio: Fraction) -> torch.Tensor:
    """Convolve ``[C, T]`` with torchaudio's kernel; as a matrix product, 12 times as fast as its conv1d."""
    f = _filter(ratio)
    windows = torch.nn.functional.pad(samples, (f.width, f.width + f.down)).unfold(1, f.kernel.shape[0], f.down)
    # Windows overlap, so multiplying copies them: a block at a time.
    blocks = [windows[:, start : start + _BLOCK] @ f.kernel for start in range(0, windows.shape[1], _BLOCK)]
    length = math.ceil(samples.shape[1] * f.kernel.shape[1] / f.down)
    return torch.cat(blocks, dim=1).flatten(1)[:, :length]


def _by_weights(samples: torch.Tensor, from_hz: int, to_hz: int) -> torch.Tensor:
    """Compute the weights of each output sample anew: a table for rates without a common factor takes gigabytes."""
    cutoff_hz = min(from_hz, to_hz) * _ROLLOFF
    reach = math.ceil(_WIDTH * from_hz / cutoff_hz)
    padded = torch.nn.functional.pad(samples, (reach, reach + 1))
    taps = torch.arange(-reach, reach + 1)
    size = max(1, _WEIGHTS // len(taps))
    length = resampled_length(samples.shape[1], from_hz, to_hz)
    blocks = []
    for start in range(0, length, size):
        place = torch.arange(start, min(start + size, length)) * from_hz  # in units of 1 / (from_hz * to_hz) s
        first, rest = place // to_hz, place % to_hz
        t = ((taps - (rest.double() / to_hz)[:, None]) * (cutoff_hz / from_hz)).clamp(-_WIDTH, _WIDTH)
        weights = torch.sinc(t) * torch.cos(t * (math.pi / _WIDTH / 2)) ** 2 * (cutoff_hz / from_hz)
        blocks.append((padded[:, first[:, None] + taps + reach] * weights.float()).sum(-1))
    return torch.cat(blocks, dim=1)
