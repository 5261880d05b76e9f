"""k-means as the tokenizers fit it, against scikit-learn's MiniBatchKMeans and faiss: time to clusters no worse.

python -m bench.kmeans
"""

from __future__ import annotations

import importlib.util
from functools import partial

import torch
from bench.figures import Figure, in_turns, seconds, show
from sklearn.cluster import MiniBatchKMeans

from areca_units.kmeans import assign, fit_kmeans

POINTS, DIM, SOURCES = 200_000, 64, 2_000
CLUSTERS = (256, 1024)
ROUNDS = 3


def cloud() -> torch.Tensor:
    """Return points of many overlapping sources of unequal size and spread, as frames of speech are."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(SOURCES, DIM, generator=generator)
    shares = torch.rand(SOURCES, generator=generator) ** 3
    source = torch.multinomial(shares, POINTS, replacement=True, generator=generator)
    spread = 0.2 + torch.rand(SOURCES, 1, generator=generator)
    return centres[source] + spread[source] * torch.randn(POINTS, DIM, generator=generator)


def measure(clusters: int, rounds: int = ROUNDS) -> list[Figure]:
    points = cloud()
    found: dict[str, list[float]] = {"areca": [], "scikit-learn": []}
    seeds = iter(range(1_000))

    def inertia(centroids: torch.Tensor) -> float:
        return float(assign(points, centroids)[1].double().sum())

    def areca() -> torch.Tensor:
        return fit_kmeans(points, clusters, generator=torch.Generator().manual_seed(next(seeds)))

    def peer() -> torch.Tensor:
        # Its own defaults but for one start instead of three: what is asked is the time of one fit.
        fitted = MiniBatchKMeans(clusters, n_init=1, random_state=next(seeds)).fit(points.numpy())
        return torch.from_numpy(fitted.cluster_centers_).float()

    def timed(name: str, fit: partial[torch.Tensor]) -> float:
        took: list[torch.Tensor] = []
        time_s = seconds(lambda: took.append(fit()))
        found[name].append(inertia(took[0]))
        return time_s

    mine, theirs, ratio = in_turns(
        partial(timed, "areca", partial(areca)), partial(timed, "scikit-learn", partial(peer)), rounds
    )
    worse = max(found["areca"]) / min(found["scikit-learn"])
    label = f"k-means, {clusters} clusters"
    note = f"{POINTS} x {DIM}, median of {rounds}"
    return [
        Figure(f"{label}: speed over MiniBatchKMeans", 1 / ratio, "x", (">=", 1.5), note),
        Figure(f"{label}: worst inertia over its best", worse, "x", ("<=", 1.0)),
        Figure(f"{label}: areca", mine, "s"),
        Figure(f"{label}: MiniBatchKMeans", theirs, "s"),
    ]


def assignment(clusters: int, rounds: int = ROUNDS) -> list[Figure]:
    """The nearest centroid of every point, against faiss where it is installed: pip install faiss-cpu."""
    if importlib.util.find_spec("faiss") is None:
        return []
    import faiss

    points = cloud()
    centroids = points[:clusters].contiguous()
    index = faiss.IndexFlatL2(DIM)
    index.add(centroids.numpy())
    _, _, ratio = in_turns(
        partial(seconds, lambda: assign(points, centroids)),
        partial(seconds, lambda: index.search(points.numpy(), 1)),
        rounds,
    )
    # No limit: decision 17 says why faiss, which is faster, is not used.
    return [Figure(f"assignment to {clusters} centroids: speed over faiss", 1 / ratio, "x")]


if __name__ == "__main__":
    for clusters in CLUSTERS:
        show([*measure(clusters), *assignment(clusters)])
