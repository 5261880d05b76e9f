"""The generator: the network of transformers' SeamlessM4T (Apache-2.0), described by a few sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

_OUTER_KERNEL = 7
"""Kernel of the first and the last convolution (section 2.2)."""
_DILATIONS = (1, 3, 5)
"""Dilations in a residual block: those of the paper's first two versions."""
_DEVIATION = 0.01
"""Standard deviation of the initial weights in residual blocks (as the authors'), so that they start as the
identity."""


def generator_sizes(strides: Sequence[int], channels: int, kernels: Sequence[int]) -> dict[str, Any]:
    """Return the values of a transformers ``SeamlessM4TConfig`` that describe a generator.

    The kernel of an upsampling is twice its stride, and one more for an odd stride, so that F frames give exactly
    ``F * prod(strides)`` samples.

    Args:
        strides: upsampling factors.
        channels: channels before the first upsampling, each of which halves them.
        kernels: kernel sizes of the residual blocks, odd.

    Example:
        ``SeamlessM4TConfig(**generator_sizes((5, 4, 4, 2, 2), 512, (3, 7, 11)))``
    """
    return {
        "upsample_initial_channel": channels,
        "upsample_rates": list(strides),
        "upsample_kernel_sizes": [2 * s + s % 2 for s in strides],
        "resblock_kernel_sizes": list(kernels),
        "resblock_dilation_sizes": [list(_DILATIONS) for _ in kernels],
    }


def reach_of(config: Any) -> int:
    """Return how many frames on either side a frame's samples depend on, for a ``SeamlessM4TConfig``."""
    side = _OUTER_KERNEL // 2
    frames, rate = float(side), 1
    for stride, kernel in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
        padding = (kernel - stride) // 2
        # A transposed convolution reads inputs as far away as its kernel reaches, in samples of its output.
        rate *= stride
        frames += max(padding, kernel - 1 - padding) / rate
        frames += max(map(_block_reach, config.resblock_kernel_sizes, config.resblock_dilation_sizes)) / rate
    return math.ceil(frames + side / rate)


def _block_reach(kernel: int, dilations: Sequence[int]) -> int:
    """Return the reach of a residual block: for each dilation, a convolution with it and one without."""
    return kernel // 2 * sum(d + 1 for d in dilations)


def initialise(generator: nn.Module) -> None:
    """Draw the weights of a generator's convolutions from torch's global generator.

    Layers outside the residual blocks keep the scale of their input, whatever the number of channels. (With 0.01 in
    all layers, the audio of a small generator would start a million times too quiet.)

    Args:
        generator: a SeamlessM4THifiGan.
    """
    for name, module in generator.named_modules():
        if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
            upsampled = module.stride[0] if isinstance(module, nn.ConvTranspose1d) else 1
            inputs = module.in_channels * module.kernel_size[0] / upsampled
            nn.init.normal_(module.weight, std=_DEVIATION if name.startswith("resblocks.") else inputs**-0.5)


def normalise_weights(generator: nn.Module) -> None:
    """Split each convolution's weights into direction and norm for training (Salimans and Kingma 2016)."""
    for module in list(generator.modules()):
        if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
            weight_norm(module)


def merge_weights(generator: nn.Module) -> None:
    """Undo `normalise_weights`: the generator computes the same with plain weights."""
    for module in list(generator.modules()):
        if is_parametrized(module, "weight"):
            remove_parametrizations(module, "weight")
