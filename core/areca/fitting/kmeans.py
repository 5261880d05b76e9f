"""k-means over speech frames: a careful start on a sample, then mini-batches, then one full iteration."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from areca.errors import InvalidArtifact
from areca.types import Codes

_BLOCK = 1_024
"""Points assigned at once: their distances to a few hundred centroids stay in the processor's cache."""
_BATCH = 2_048
_SAMPLE, _PER_CLUSTER = 16_384, 16
"""Points in the sample: the larger of the first number and the second per cluster."""
_ITERATIONS = 8
"""Lloyd iterations on the sample."""


def fit_kmeans(points: torch.Tensor, clusters: int, *, generator: torch.Generator) -> torch.Tensor:
    """Find centroids with a small total squared distance to `points`.

    Start with greedy k-means++ (Arthur and Vassilvitskii 2007) and Lloyd iterations on a sample. If there are more
    points than the sample, continue with mini-batches (Sculley 2010), which use each point once, and finish with one
    Lloyd iteration over all points. Only an empty cluster is moved: a few points far from all others, such as those of
    a rare sound, deserve their own cluster.

    Args:
        points: float32 ``[N, D]``.
        clusters: number K of centroids.
        generator: the only source of randomness, on the CPU.

    Returns:
        float32 ``[K, D]``.

    Raises:
        ValueError: fewer points than clusters.

    Example:
        ``centroids = fit_kmeans(features, 256, generator=torch.Generator().manual_seed(job.seed))``
    """
    if len(points) < clusters:
        raise ValueError(f"k-means: {clusters} clusters need at least as many frames, got {len(points)}")
    shuffled = points[torch.randperm(len(points), generator=generator).to(points.device)]
    sample = shuffled[: max(_SAMPLE, _PER_CLUSTER * clusters)]
    centroids = _choose_initial(sample, clusters, generator)
    for _ in range(_ITERATIONS):
        centroids = _iterate_lloyd(sample, centroids)
    if len(sample) == len(points):
        return centroids
    return _iterate_lloyd(points, _refine_by_batches(shuffled, centroids))


def assign(points: torch.Tensor, centroids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the index of each point's nearest centroid, and the squared distance to it.

    Args:
        points: float32 ``[N, D]``.
        centroids: float32 ``[K, D]``.

    Returns:
        int64 ``[N]`` in ``[0, K)``, and float32 ``[N]``.

    Raises:
        InvalidArtifact: the centroids have another number of dimensions than the points.

    Example:
        ``units, distances = assign(features, centroids)``
    """
    if points.shape[1] != centroids.shape[1]:
        raise InvalidArtifact(f"centroids have {centroids.shape[1]} dimensions, features have {points.shape[1]}")
    half_norms = centroids.square().sum(1) / 2
    scores, nearest = [], []
    for block in torch.split(points, _BLOCK):
        score, index = torch.addmm(half_norms, block, centroids.T, alpha=-1).min(1)
        scores.append(score)
        nearest.append(index)
    distances = points.square().sum(1) + 2 * torch.cat(scores)
    return torch.cat(nearest), distances.clamp(min=0)


def encode_nearest(features: Iterable[torch.Tensor], centroids: torch.Tensor) -> list[Codes]:
    """Encode each feature as the index of its nearest centroid: the last step of a k-means tokenizer.

    Args:
        features: float32 ``[F, D]`` for each recording, on the device of the centroids.
        centroids: float32 ``[K, D]``.

    Returns:
        One stream of codes per recording, on the CPU.

    Raises:
        InvalidArtifact: the centroids have another number of dimensions than the features.

    Example:
        ``codes = encode_nearest(self.features(audios), self.centroids)``
    """
    return [Codes((assign(x, centroids)[0].cpu(),)) for x in features]


def _iterate_lloyd(points: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    """Move each centroid to the mean of its points, and each empty one to the point farthest from its centroid."""
    nearest, distances = assign(points, centroids)
    sums, counts = _sum_by_cluster(points, nearest, len(centroids))
    centroids = sums / counts.clamp(min=1)[:, None]
    if empty := int((counts == 0).sum()):
        centroids[counts == 0] = points[distances.topk(empty).indices]
    return centroids


def _refine_by_batches(points: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    """Batch by batch, move each centroid to the mean of all points assigned to it so far."""
    totals = torch.zeros(len(centroids), device=points.device)
    for batch in torch.split(points, _BATCH):
        sums, counts = _sum_by_cluster(batch, assign(batch, centroids)[0], len(centroids))
        totals += counts
        centroids = centroids + (sums - counts[:, None] * centroids) / totals.clamp(min=1)[:, None]
    return centroids


def _sum_by_cluster(points: torch.Tensor, nearest: torch.Tensor, clusters: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sum ``[K, D]`` and the number ``[K]`` of each cluster's points."""
    sums = points.new_zeros(clusters, points.shape[1]).index_add_(0, nearest, points)
    return sums, torch.bincount(nearest, minlength=clusters).to(points.dtype)


def _draw_by_distance(distances: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Draw the indices of `count` points, each with a probability proportional to its squared distance."""
    # Use cumulative sums, because multinomial copies and checks the probabilities in every call.
    sums = distances.cpu().double().cumsum(0)  # MPS has no float64
    draws = torch.rand(count, generator=generator, dtype=torch.float64) * sums[-1]
    return torch.searchsorted(sums, draws).clamp(max=len(distances) - 1).to(distances.device)


def _choose_initial(points: torch.Tensor, clusters: int, generator: torch.Generator) -> torch.Tensor:
    """Choose points far apart by greedy k-means++: in each round, the best of a few candidates.

    A round chooses several points if there are many clusters.
    """
    together = max(1, clusters // 256)
    trials = 2 + clusters.bit_length() // 2
    norms = points.square().sum(1)
    chosen = torch.randint(len(points), (1,), generator=generator).to(points.device)
    nearest = _squared_distances(points, norms, chosen)[:, 0]
    while (missing := clusters - len(chosen)) > 0:
        candidates = _draw_by_distance(nearest, trials * together, generator)
        after = torch.minimum(nearest[:, None], _squared_distances(points, norms, candidates))
        best = after.sum(0).topk(min(together, missing), largest=False).indices
        nearest = after[:, best].amin(1)
        chosen = torch.cat((chosen, candidates[best]))
    return points[chosen].clone()


def _squared_distances(points: torch.Tensor, norms: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return the squared distances ``[N, R]`` of all points to the R points at `rows`."""
    return (norms[:, None] + norms[rows] - 2 * points @ points[rows].T).clamp(min=0)
