"""Merge the codes of two quantizers of 16 codes into one stream of 256 codes, and split them again."""

from __future__ import annotations

import torch

from areca_lyra import CODEBOOK_SIZE


def merge_pairs(codes: torch.Tensor) -> torch.Tensor:
    """Merge each pair of streams; the first of a pair, the coarser one, is the upper digit in base 16.

    Args:
        codes: int64 ``[2 K, F]`` in [0, 16).

    Returns:
        int64 ``[K, F]`` in [0, 256).
    """
    return codes[0::2] * CODEBOOK_SIZE + codes[1::2]


def split_pairs(codes: torch.Tensor) -> torch.Tensor:
    """Undo `merge_pairs`: int64 ``[K, F]`` in [0, 256) to ``[2 K, F]`` in [0, 16)."""
    return torch.stack((codes // CODEBOOK_SIZE, codes % CODEBOOK_SIZE), dim=1).flatten(0, 1)
