"""Residual vector quantization (Juang and Gray 1982; SoundStream, Zeghidour et al. 2021, section III.C)."""

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
    report: Callable[[int], None],
) -> torch.Tensor:
    """Train one codebook after the other, each on the residual of the previous one.

    Args:
        points: float32 ``[N, D]``.
        levels: number L of codebooks.
        clusters: number K of codes in a codebook.
        generator: the only source of randomness, on the CPU.
        report: called with the number of finished levels.

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
        report(level + 1)
    return torch.stack(codebooks)


def quantize(points: torch.Tensor, codebooks: torch.Tensor) -> torch.Tensor:
    """Return codes, int64 ``[L, N]``: at each level, the entry nearest to the residual of the points ``[N, D]``."""
    codes = []
    for codebook in codebooks:
        nearest, _ = assign(points, codebook)
        points = points - codebook[nearest]
        codes.append(nearest)
    return torch.stack(codes)


def reconstruct(codes: torch.Tensor, codebooks: torch.Tensor) -> torch.Tensor:
    """Return the points ``[N, D]`` for codes ``[L, N]``: the sum of their entries."""
    levels = torch.arange(len(codes), device=codes.device)[:, None]
    return codebooks[levels, codes].sum(0)
