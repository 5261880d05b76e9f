"""`mfcc-kmeans`: k-means over MFCCs and their deltas (HuBERT's first units, Hsu et al. 2021, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torchaudio.functional import compute_deltas, create_dct

from areca.fitting.kmeans import encode_nearest
from areca.fitting.resume import save_tensors
from areca.fitting.sampling import fit_centroids
from areca.hub.tensors import read_tensors
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.types import Audio, Codes, require_audio
from areca_units import SAMPLE_RATE_HZ
from areca_units.features import MEL, compute_mel, normalise
from areca_units.options import MfccKmeansConfig

_CODEBOOK = "codebook.safetensors"
_POOL = 4
"""Frames of 10 ms in a unit of 40 ms."""


class MfccKmeans:
    """A tokenizer whose units are the nearest centroids of MFCCs, one every 40 ms.

    Utterances are encoded one at a time, without padding.
    """

    def __init__(self, config: MfccKmeansConfig, centroids: torch.Tensor) -> None:
        self.config, self.centroids = config, centroids

    @staticmethod
    def fit(config: MfccKmeansConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Cluster the MFCCs of the training split, source and target side.

        Raises:
            InvalidManifest: the training split has no audio.
            ValueError: the training split has fewer frames than `clusters`.
        """
        centroids = fit_centroids(
            data,
            lambda audios: [compute_mfcc(a, config.coefficients) for a in audios],
            sample_rate_hz=SAMPLE_RATE_HZ,
            clusters=config.clusters,
            frames=config.sample_frames,
            job=job,
        )
        save_tensors(job.directory / _CODEBOOK, {"centroids": centroids.cpu()})

    @staticmethod
    def load(
        config: MfccKmeansConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> MfccKmeans:
        """Read the centroids from `files`. Computation is in float32; `dtype` is ignored."""
        assert files is not None, "a component with the tag fit is loaded from its artifact"
        shape = (config.clusters, 3 * config.coefficients)
        centroids = read_tensors(files / _CODEBOOK, {"centroids": shape})["centroids"]
        return MfccKmeans(config, centroids.to(device))

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Return one stream of units at 25 Hz per audio.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
        """
        require_audio(audios, SAMPLE_RATE_HZ, 1)
        device = self.centroids.device
        features = (compute_mfcc(a, self.config.coefficients).to(device) for a in audios)
        return encode_nearest(features, self.centroids)


def compute_mfcc(audio: Audio, coefficients: int) -> torch.Tensor:
    """Return normalised MFCCs with first and second deltas, float32 ``[frames, 3 * coefficients]`` at 25 Hz.

    A frame is the mean of up to four frames of 10 ms.
    """
    cepstra = compute_mel(audio) @ _dct(coefficients)
    first = compute_deltas(cepstra.T)
    joined = normalise(torch.cat((cepstra.T, first, compute_deltas(first))).T)
    return functional.avg_pool1d(joined.T[None], _POOL, ceil_mode=True)[0].T


@lru_cache(maxsize=4)
def _dct(coefficients: int) -> torch.Tensor:
    """Return the matrix of the orthonormal cosine transform, ``[mels, coefficients]``."""
    matrix: torch.Tensor = create_dct(coefficients, MEL.mels, norm="ortho")
    return matrix
