"""Decode codes while they arrive, with a decoder that is made of convolutions only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from areca.sliding import Sliding
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes, stack_codes

_KERNEL = 7
_DILATIONS = (1, 3, 9)
"""Kernel and dilations of the residual units after each upsampling of a DAC decoder (Kumar et al. 2023, appendix)."""


def reach_of(strides: Sequence[int]) -> int:
    """Return how many frames on either side a frame's samples depend on, in a DAC decoder with these upsamplings."""
    side = _KERNEL // 2
    frames, rate = float(side), 1
    for stride in strides:
        frames += 1 / rate  # a transposed convolution of kernel 2 x stride mixes neighbours at its input's rate
        rate *= stride
        frames += side * sum(_DILATIONS) / rate
    return math.ceil(frames + side / rate)


class CodecSession:
    """An utterance that a codec decodes while its codes arrive.

    Args:
        decode: maps codes ``[1, K, F]`` to samples, float32 ``[1, 1, F * hop]``, on the CPU.
        reach: frames on either side that a frame's samples depend on.
        spec: the codec's spec.
    """

    def __init__(self, decode: Callable[[torch.Tensor], torch.Tensor], reach: int, spec: TokenizerSpec) -> None:
        self._spec = spec
        self._sliding = Sliding(lambda codes: decode(codes.T[None]).reshape(len(codes), -1), reach)

    @torch.inference_mode()
    def push(self, codes: Codes) -> Audio | None:
        """Append codes, and return the audio that they complete.

        Raises:
            InvalidCodes: no codes, another number of streams, streams of unequal length, or codes out of range.
        """
        [stacked] = stack_codes([codes], self._spec.streams)
        return self._advance(stacked.T)

    @torch.inference_mode()
    def finish(self) -> Audio | None:
        """Return the rest of the audio."""
        return self._advance(torch.zeros(0, len(self._spec.streams), dtype=torch.int64), last=True)

    def _advance(self, codes: torch.Tensor, *, last: bool = False) -> Audio | None:
        samples = self._sliding.push(codes, last=last)
        return None if samples is None else Audio(samples.reshape(1, -1), self._spec.sample_rate_hz, "codes")
