"""Residual vector quantisation (Juang and Gray 1982; SoundStream, Zeghidour et al. 2021, section III.C)."""

from __future__ import annotations

from collections.abc import Callable

import torch

from areca.fitting.kmeans import assign, fit_kmeans


def fit_levels(
    points: torch.Tensor,
    levels: int,
    clusters: int,
    *,
    generator: torch.Generator,
    told: Callable[[int], None],
) -> torch.Tensor:
    """Fit a codebook on `points`, the next on what it leaves over, and so on.

    Args:
        points: float32 ``[N, D]``.
        levels: number of codebooks L.
        clusters: entries K of each.
        generator: the only source of randomness, on the CPU.
        told: called with the number of levels done.

    Returns:
        float32 ``[L, K, D]``.

    Raises:
        ValueError: fewer points than clusters.
    """
    codebooks = []
    for level in range(levels):
        codebook = fit_kmeans(points, clusters, generator=generator)
        points = points - codebook[assign(points, codebook)[0]]
        codebooks.append(codebook)
        told(level + 1)
    return torch.stack(codebooks)


def quantize(points: torch.Tensor, codebooks: torch.Tensor) -> torch.Tensor:
    """Return int64 ``[L, N]``: at each level the entry nearest to what is left of ``[N, D]``."""
    codes = []
    for codebook in codebooks:
        nearest, _ = assign(points, codebook)
        points = points - codebook[nearest]
        codes.append(nearest)
    return torch.stack(codes)


def reconstruct(codes: torch.Tensor, codebooks: torch.Tensor) -> torch.Tensor:
    """Return the sums ``[N, D]`` of the entries that ``[L, N]`` names."""
    levels = torch.arange(len(codes), device=codes.device)[:, None]
    return codebooks[levels, codes].sum(0)
