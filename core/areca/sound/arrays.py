"""Recordings that are given as arrays: any of the usual types, as float32 in [-1, 1]."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import torch

from areca.errors import InvalidAudio, quote
from areca.types import Audio

_HOW = "give (array, rate) with an array of shape [T] or [C, T], as (samples, 16000)"
_MOST_CHANNELS = 64


def is_array(value: object) -> bool:
    """Return whether `value` is a NumPy array or a torch tensor."""
    return isinstance(value, (np.ndarray, torch.Tensor))


def is_recording(value: object) -> bool:
    """Return whether `value` is meant as one recording in memory: an `Audio`, an array, or an array with a rate."""
    return (
        isinstance(value, Audio)
        or is_array(value)
        or (isinstance(value, (tuple, list)) and len(value) == 2 and sum(map(is_array, value)) == 1)
    )


def audio_of(value: Any, name: str = "array") -> Audio:
    """Return ``(array, rate)`` as audio.

    Args:
        value: a pair of a NumPy array or torch tensor, ``[T]`` or ``[C, T]``, and its rate in Hz. Floats are taken as
            they are; int16 and int32 (24 bits in it, too) are divided by their range, uint8 starts at 128.
        name: what messages call it.

    Raises:
        InvalidAudio: no rate, another shape or type, NaN or infinity.
    """
    if is_array(value):
        raise InvalidAudio(f"{name}: an array does not say its sample rate: {_HOW}")
    samples, rate = value
    if is_array(rate) and not is_array(samples):
        raise InvalidAudio(f"{name}: expected (array, rate), got (rate, array): swap them")
    return Audio(_floats(_shaped(samples, name), name), _rate(rate, name), name)


def _rate(rate: Any, name: str) -> int:
    hz = float(rate) if isinstance(rate, numbers.Real) and not isinstance(rate, bool) else 0.0
    if not (hz.is_integer() and 0 < hz < 2**31):
        raise InvalidAudio(f"{name}: expected a sample rate in whole Hz, got {quote(rate)}: {_HOW}")
    return int(hz)


def _shaped(samples: Any, name: str) -> torch.Tensor:
    tensor = samples.detach().cpu() if isinstance(samples, torch.Tensor) else _tensor(samples, name)
    if tensor.ndim == 1:
        tensor = tensor[None]
    shape = list(samples.shape)
    if tensor.ndim != 2 or tensor.numel() == 0:
        raise InvalidAudio(f"{name}: expected shape [T] or [C, T], got {shape}")
    if tensor.shape[0] > min(_MOST_CHANNELS, tensor.shape[1]):
        raise InvalidAudio(f"{name}: expected shape [T] or [C, T], got {shape}: give array.T if it is [T, C]")
    return tensor


def _tensor(samples: np.ndarray[Any, Any], name: str) -> torch.Tensor:
    try:
        return torch.from_numpy(np.ascontiguousarray(samples, samples.dtype.newbyteorder("=")))
    except TypeError:
        raise InvalidAudio(f"{name}: expected float or integer samples, got {samples.dtype}") from None


def _floats(samples: torch.Tensor, name: str) -> torch.Tensor:
    if samples.dtype.is_floating_point:
        return samples.to(torch.float32).contiguous()
    if samples.dtype == torch.uint8:
        return (samples.to(torch.float32) - 128) / 128
    if samples.dtype in (torch.int16, torch.int32):
        return samples.to(torch.float32) / 2.0 ** (torch.iinfo(samples.dtype).bits - 1)
    raise InvalidAudio(
        f"{name}: expected float32, int16, int32 or uint8 samples, got {samples.dtype}: its range is not known"
    )
