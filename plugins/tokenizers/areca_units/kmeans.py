"""k-means by Lloyd's iterations on growing samples, with assignment as blocked matrix products."""

from __future__ import annotations

import torch

_BLOCK = 16_384
"""Rows assigned at once: the distances of a block to some hundred centroids stay in cache."""


def fit_kmeans(points: torch.Tensor, clusters: int, *, generator: torch.Generator, iterations: int = 8) -> torch.Tensor:
    """Find centroids of small total squared distance to `points`.

    Greedy k-means++ (Arthur and Vassilvitskii 2007) on a sample, then Lloyd's iterations on samples that double
    up to all points: early iterations need no precision (Bradley and Fayyad 1998 refine in the same spirit).

    Args:
        points: float32 ``[N, D]``.
        clusters: number K of centroids.
        generator: the only source of randomness, on the CPU.
        iterations: on each sample.

    Returns:
        float32 ``[K, D]``.

    Raises:
        ValueError: fewer points than clusters.
    """
    if len(points) < clusters:
        raise ValueError(f"k-means: {clusters} clusters need at least as many frames, got {len(points)}")
    order = torch.randperm(len(points), generator=generator).to(points.device)
    shuffled = points[order]
    size = min(len(points), 16 * clusters)
    centroids = _plus_plus(shuffled[:size], clusters, generator)
    while True:
        centroids = _lloyd(shuffled[:size], centroids, iterations)
        if size == len(points):
            return centroids
        size = min(len(points), 4 * size)


def assign(points: torch.Tensor, centroids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the nearest centroid of each point and its squared distance.

    Args:
        points: float32 ``[N, D]``.
        centroids: float32 ``[K, D]``.

    Returns:
        int64 ``[N]`` in ``[0, K)``, and float32 ``[N]``.
    """
    half_norms = centroids.square().sum(1) / 2
    scores, nearest = [], []
    for block in torch.split(points, _BLOCK):
        score, index = torch.addmm(half_norms, block, centroids.T, alpha=-1).min(1)
        scores.append(score)
        nearest.append(index)
    distances = points.square().sum(1) + 2 * torch.cat(scores)
    return torch.cat(nearest), distances.clamp(min=0)


def _lloyd(points: torch.Tensor, centroids: torch.Tensor, iterations: int) -> torch.Tensor:
    for _ in range(iterations):
        nearest, distances = assign(points, centroids)
        counts = torch.bincount(nearest, minlength=len(centroids))
        sums = torch.zeros_like(centroids).index_add_(0, nearest, points)
        centroids = sums / counts.clamp(min=1)[:, None]
        if empty := int((counts == 0).sum()):
            centroids[counts == 0] = points[distances.topk(empty).indices]
    return centroids


def _plus_plus(points: torch.Tensor, clusters: int, generator: torch.Generator) -> torch.Tensor:
    """Choose centroids far apart; of a few candidates each time the one that helps most."""
    trials = 2 + clusters.bit_length() // 2
    norms = points.square().sum(1)
    chosen = torch.randint(len(points), (1,), generator=generator).to(points.device)
    nearest = _squared_distances(points, norms, chosen)[:, 0]
    for _ in range(clusters - 1):
        # A draw by cumulative sums: multinomial would copy the probabilities and check them each time.
        sums = nearest.double().cumsum(0)
        draws = torch.rand(trials, generator=generator, dtype=torch.float64).to(points.device) * sums[-1]
        candidates = torch.searchsorted(sums, draws).clamp(max=len(points) - 1)
        after = torch.minimum(nearest[:, None], _squared_distances(points, norms, candidates))
        best = int(after.sum(0).argmin())
        nearest = after[:, best].contiguous()
        chosen = torch.cat((chosen, candidates[best : best + 1]))
    return points[chosen].clone()


def _squared_distances(points: torch.Tensor, norms: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return ``[N, R]``: squared distances of all points to those in `rows`."""
    return (norms[:, None] + norms[rows] - 2 * points @ points[rows].T).clamp(min=0)
