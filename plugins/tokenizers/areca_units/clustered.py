"""`kmeans`: re-cluster another tokenizer's features, so that one encoder serves any number of units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from areca.fitting.kmeans import encode_nearest
from areca.fitting.resume import save_tensors
from areca.fitting.sampling import fit_centroids
from areca.hub.tensors import read_tensors
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes
from areca_units.options import KmeansConfig

_CODEBOOK = "codebook.safetensors"


class Clustered:
    """A tokenizer whose units are the nearest centroids of another tokenizer's features.

    Args:
        tokenizer: the inner tokenizer, which has the tag ``features``.
        centroids: float32 ``[clusters, D]``.
    """

    def __init__(self, tokenizer: Any, centroids: torch.Tensor) -> None:
        self.tokenizer, self.centroids = tokenizer, centroids

    @staticmethod
    def fit(config: KmeansConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Cluster the features of the training split, source and target side.

        Raises:
            InvalidManifest: the training split has no audio.
            ValueError: the training split has fewer frames than `clusters`.
        """
        spec = job.specs["tokenizer"]
        assert isinstance(spec, TokenizerSpec)
        centroids = fit_centroids(
            data,
            needs["tokenizer"].features,
            sample_rate_hz=spec.sample_rate_hz,
            clusters=config.clusters,
            frames=config.sample_frames,
            job=job,
        )
        save_tensors(job.directory / _CODEBOOK, {"centroids": centroids.cpu()})

    @staticmethod
    def load(
        config: KmeansConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Clustered:
        """Wrap the inner tokenizer with the centroids in `files`. Assignment is in float32; `dtype` is ignored."""
        assert files is not None, "a component with the tag fit is loaded from its artifact"
        centroids = read_tensors(files / _CODEBOOK, {"centroids": (config.clusters, None)})
        return Clustered(needs["tokenizer"], centroids["centroids"].to(device))

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Return one stream of units per audio.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
        """
        return encode_nearest(self.features(audios), self.centroids)

    def features(self, audios: list[Audio]) -> list[torch.Tensor]:
        """Return the inner tokenizer's features, float32 ``[F, D]`` per audio: the vectors that are clustered."""
        features: list[torch.Tensor] = self.tokenizer.features(audios)
        return features
