"""Convert recordings in memory (NumPy arrays and torch tensors of the usual dtypes) to float32 in [-1, 1]."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import torch

from areca.errors import InvalidAudio, quote
from areca.types import Audio

_ADVICE = "give (array, rate) with an array of shape [T] or [C, T], like (samples, 16000)"
_MOST_CHANNELS = 64


def is_array(value: object) -> bool:
    """Return whether `value` is a NumPy array or a torch tensor."""
    return isinstance(value, (np.ndarray, torch.Tensor))


def is_recording(value: object) -> bool:
    """Return whether `value` looks like one recording in memory: an `Audio`, an array, or an array with a rate."""
    return (
        isinstance(value, Audio)
        or is_array(value)
        or (isinstance(value, (tuple, list)) and len(value) == 2 and sum(map(is_array, value)) == 1)
    )


def to_audio(value: Any, name: str = "array") -> Audio:
    """Convert ``(array, rate)`` to `Audio`.

    Args:
        value: a NumPy array or torch tensor, ``[T]`` or ``[C, T]``, and its sample rate in Hz. Floats are not scaled;
            int16 and int32 (also with 24-bit content) are divided by their range; uint8 is centred at 128.
        name: label for messages.

    Raises:
        InvalidAudio: the rate is missing or invalid, the shape or dtype is not supported, or a sample is NaN or
            infinite.

    Example:
        >>> to_audio((numpy.zeros(16_000, numpy.int16), 16_000)).seconds
        1.0
    """
    if is_array(value):
        raise InvalidAudio(f"{name}: an array does not contain its sample rate: {_ADVICE}")
    samples, rate = value
    if is_array(rate) and not is_array(samples):
        raise InvalidAudio(f"{name}: expected (array, rate), got (rate, array): swap them")
    return Audio(_scale(_check_shape(samples, name), name), _check_rate(rate, name), name)


def _check_rate(rate: Any, name: str) -> int:
    hz = float(rate) if isinstance(rate, numbers.Real) and not isinstance(rate, bool) else 0.0
    if not (hz.is_integer() and 0 < hz < 2**31):
        raise InvalidAudio(f"{name}: expected a sample rate in whole Hz, got {quote(rate)}: {_ADVICE}")
    return int(hz)


def _check_shape(samples: Any, name: str) -> torch.Tensor:
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


def _scale(samples: torch.Tensor, name: str) -> torch.Tensor:
    if samples.dtype.is_floating_point:
        return samples.to(torch.float32).contiguous()
    if samples.dtype == torch.uint8:
        return (samples.to(torch.float32) - 128) / 128
    if samples.dtype in (torch.int16, torch.int32):
        return samples.to(torch.float32) / 2.0 ** (torch.iinfo(samples.dtype).bits - 1)
    raise InvalidAudio(
        f"{name}: expected float32, int16, int32 or uint8 samples, got {samples.dtype}: the range is not known"
    )
