"""k-means of speech frames: a good start on a sample, mini-batches, one last full iteration."""

from __future__ import annotations

import torch

from areca.errors import InvalidArtifact

_BLOCK = 1_024
"""Rows assigned at once: the distances of a block to some hundred centroids stay in cache."""
_BATCH = 2_048
_SAMPLE, _PER_CLUSTER = 16_384, 16
"""Points of the start: so many, or so many a cluster if that is more."""
_ITERATIONS = 8
"""Lloyd's iterations of the start."""


def fit_kmeans(points: torch.Tensor, clusters: int, *, generator: torch.Generator) -> torch.Tensor:
    """Find centroids of small total squared distance to `points`.

    Greedy k-means++ (Arthur and Vassilvitskii 2007) and Lloyd's iterations on a sample; then, where there is more
    than the sample, mini-batches (Sculley 2010), each point once, and one iteration over everything. A cluster is moved
    only if it is empty: few points far from all others, as a rare sound's, are worth one.

    Args:
        points: float32 ``[N, D]``.
        clusters: number K of centroids.
        generator: the only source of randomness, on the CPU.

    Returns:
        float32 ``[K, D]``.

    Raises:
        ValueError: fewer points than clusters.
    """
    if len(points) < clusters:
        raise ValueError(f"k-means: {clusters} clusters need at least as many frames, got {len(points)}")
    shuffled = points[torch.randperm(len(points), generator=generator).to(points.device)]
    sample = shuffled[: max(_SAMPLE, _PER_CLUSTER * clusters)]
    centroids = _plus_plus(sample, clusters, generator)
    for _ in range(_ITERATIONS):
        centroids = _lloyd(sample, centroids)
    if len(sample) == len(points):
        return centroids
    return _lloyd(points, _mini_batches(shuffled, centroids))


def assign(points: torch.Tensor, centroids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the nearest centroid of each point and its squared distance.

    Args:
        points: float32 ``[N, D]``.
        centroids: float32 ``[K, D]``.

    Returns:
        int64 ``[N]`` in ``[0, K)``, and float32 ``[N]``.

    Raises:
        InvalidArtifact: the centroids are of other features.
    """
    if points.shape[1] != centroids.shape[1]:
        raise InvalidArtifact(f"centroids of {centroids.shape[1]} dimensions, features of {points.shape[1]}")
    half_norms = centroids.square().sum(1) / 2
    scores, nearest = [], []
    for block in torch.split(points, _BLOCK):
        score, index = torch.addmm(half_norms, block, centroids.T, alpha=-1).min(1)
        scores.append(score)
        nearest.append(index)
    distances = points.square().sum(1) + 2 * torch.cat(scores)
    return torch.cat(nearest), distances.clamp(min=0)


def _lloyd(points: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    nearest, distances = assign(points, centroids)
    sums, counts = _sums(points, nearest, len(centroids))
    centroids = sums / counts.clamp(min=1)[:, None]
    if empty := int((counts == 0).sum()):
        centroids[counts == 0] = points[distances.topk(empty).indices]
    return centroids


def _mini_batches(points: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    """Move each centroid to the mean of all it has been given so far, a batch at a time."""
    seen = torch.zeros(len(centroids), device=points.device)
    for batch in torch.split(points, _BATCH):
        sums, counts = _sums(batch, assign(batch, centroids)[0], len(centroids))
        seen += counts
        centroids = centroids + (sums - counts[:, None] * centroids) / seen.clamp(min=1)[:, None]
    return centroids


def _sums(points: torch.Tensor, nearest: torch.Tensor, clusters: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sum ``[K, D]`` and the number ``[K]`` of the points of each cluster."""
    sums = points.new_zeros(clusters, points.shape[1]).index_add_(0, nearest, points)
    return sums, torch.bincount(nearest, minlength=clusters).to(points.dtype)


def _far(distances: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Draw `count` points, each with a chance in proportion to its squared distance."""
    # By cumulative sums: multinomial would copy the probabilities and check them each time.
    sums = distances.double().cumsum(0)
    draws = torch.rand(count, generator=generator, dtype=torch.float64).to(distances.device) * sums[-1]
    return torch.searchsorted(sums, draws).clamp(max=len(distances) - 1)


def _plus_plus(points: torch.Tensor, clusters: int, generator: torch.Generator) -> torch.Tensor:
    """Choose centroids far apart: of a few candidates each time those that help most, several at once if many."""
    together = max(1, clusters // 256)
    trials = 2 + clusters.bit_length() // 2
    norms = points.square().sum(1)
    chosen = torch.randint(len(points), (1,), generator=generator).to(points.device)
    nearest = _squared_distances(points, norms, chosen)[:, 0]
    while (missing := clusters - len(chosen)) > 0:
        candidates = _far(nearest, trials * together, generator)
        after = torch.minimum(nearest[:, None], _squared_distances(points, norms, candidates))
        best = after.sum(0).topk(min(together, missing), largest=False).indices
        nearest = after[:, best].amin(1)
        chosen = torch.cat((chosen, candidates[best]))
    return points[chosen].clone()


def _squared_distances(points: torch.Tensor, norms: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return ``[N, R]``: squared distances of all points to those in `rows`."""
    return (norms[:, None] + norms[rows] - 2 * points @ points[rows].T).clamp(min=0)
