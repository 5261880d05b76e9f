"""Compare the tokenizers' k-means with scikit-learn's MiniBatchKMeans and faiss: time to clusters no worse.

    python -m bench.kmeans

It clusters frames of speech at 25 Hz, as `mfcc-kmeans` and nano's `usm-v2` do.
"""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from bench.described import resolve_text
from bench.figures import Figure, alternate, measure_s, show
from sklearn.cluster import MiniBatchKMeans

from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.component import Kind
from areca.fitting.kmeans import assign, fit_kmeans
from areca.fitting.sampling import sample_features
from areca.interfaces import Job
from areca.registry.registry import Registry
from areca.system import load
from areca_units.mfcc import compute_mfcc

POINTS, COEFFICIENTS = 200_000, 13
DATA = "{name: say, sources: [synthetic], target_source: synthetic, count: 700, validation_count: 1, test_count: 1}"
ROUNDS = 3


def sample_frames(directory: Path) -> dict[str, torch.Tensor]:
    """Return the MFCCs and nano's character probabilities of the same synthetic speech."""
    part = resolve_text(Registry.discover(), Kind.DATASET, DATA, "data")
    speech = PartLoader(Store(directory)).instance(part)
    nano = load().tokenizer.tokenizer
    kinds = {"MFCCs": lambda audios: [compute_mfcc(a, COEFFICIENTS) for a in audios], "characters": nano.features}
    found = {}
    for name, kind in kinds.items():
        job = Job(directory / name, 0, torch.device("cpu"))
        job.directory.mkdir()
        found[name] = sample_features(speech, kind, sample_rate_hz=16_000, frames=POINTS, job=job)
    return found


def measure(points: torch.Tensor, name: str, clusters: int, rounds: int = ROUNDS) -> list[Figure]:
    found: dict[str, list[float]] = {"areca": [], "scikit-learn": []}
    seeds = iter(range(1_000))

    def inertia(centroids: torch.Tensor) -> float:
        return float(assign(points, centroids)[1].double().sum())

    def areca() -> torch.Tensor:
        return fit_kmeans(points, clusters, generator=torch.Generator().manual_seed(next(seeds)))

    def peer() -> torch.Tensor:
        # Its defaults, except one start instead of three: the figure is the time of one fit.
        fitted = MiniBatchKMeans(clusters, n_init=1, random_state=next(seeds)).fit(points.numpy())
        return torch.from_numpy(fitted.cluster_centers_).float()

    def timed(name: str, fit: partial[torch.Tensor]) -> float:
        centroids: list[torch.Tensor] = []
        time_s = measure_s(lambda: centroids.append(fit()))
        found[name].append(inertia(centroids[0]))
        return time_s

    areca_s, peer_s, ratio = alternate(
        partial(timed, "areca", partial(areca)), partial(timed, "scikit-learn", partial(peer)), rounds
    )
    worse = max(found["areca"]) / min(found["scikit-learn"])
    label = f"{clusters} clusters of {name}"
    note = f"{points.shape[0]} x {points.shape[1]}, median of {rounds}"
    return [
        Figure(f"{label}: speed over MiniBatchKMeans", 1 / ratio, "x", (">=", 1.5), note),
        Figure(f"{label}: worst inertia over its best", worse, "x", ("<=", 1.0)),
        Figure(f"{label}: areca", areca_s, "s"),
        Figure(f"{label}: MiniBatchKMeans", peer_s, "s"),
    ]


def measure_assignment(points: torch.Tensor, name: str, clusters: int, rounds: int = ROUNDS) -> list[Figure]:
    """Compare finding the nearest centroid of every point with faiss, if it is installed: pip install faiss-cpu."""
    if importlib.util.find_spec("faiss") is None:
        return []
    import faiss

    centroids = points[:clusters].contiguous()
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(centroids.numpy())
    _, _, ratio = alternate(
        partial(measure_s, lambda: assign(points, centroids)),
        partial(measure_s, lambda: index.search(points.numpy(), 1)),
        rounds,
    )
    # No limit: decision 17 in docs/decisions.md explains why areca does not use faiss, which is faster.
    return [Figure(f"assignment to {clusters} centroids of {name}: speed over faiss", 1 / ratio, "x")]


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        found = sample_frames(Path(folder))
    for name, clusters in (("MFCCs", 256), ("MFCCs", 1024), ("characters", 256)):
        show([*measure(found[name], name, clusters), *measure_assignment(found[name], name, clusters)])
