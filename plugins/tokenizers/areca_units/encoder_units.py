"""Units of a speech encoder trained on the run's corpus: the base of `usm-v1`, `usm-v2` and `w2v-bert-nano`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from areca.batching import bucket, by_length, pad_batch, round_length
from areca.fitting.kmeans import encode_nearest
from areca.fitting.resume import save_tensors
from areca.fitting.sampling import fit_centroids
from areca.hub.tensors import read_module, read_tensors
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.types import Audio, Codes, require_audio
from areca_units import SAMPLE_RATE_HZ
from areca_units.features import MEL, compute_mel, normalise
from areca_units.options import EncoderConfig

_ENCODER, _CODEBOOK = "encoder.safetensors", "codebook.safetensors"

Compute = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Maps padded features ``[B, T, mels]`` and lengths ``[B]`` to padded outputs ``[B, F, D]`` and lengths ``[B]``."""


class EncoderUnits(ABC):
    """A tokenizer whose units are the nearest centroids of an encoder's output, one every 40 ms.

    Args:
        config: the options.
        model: the trained model.
        centroids: float32 ``[clusters, D]``; empty before they are trained.
    """

    def __init__(self, config: Any, model: nn.Module, centroids: torch.Tensor) -> None:
        self.config, self.model, self.centroids = config, model, centroids

    @classmethod
    @abstractmethod
    def train(cls, config: Any, data: Manifest, job: Job) -> nn.Module:
        """Train and return the model, and write to the job's directory any other file that `build_model` reads."""

    @classmethod
    @abstractmethod
    def build_model(cls, config: Any, files: Path) -> nn.Module:
        """Return a model with the shapes of the trained one, to load the weights into."""

    @abstractmethod
    def feature_function(self) -> Compute:
        """Return the function that computes features: the points ``[B, F, D]`` whose nearest centroid is the unit."""

    def codes(self) -> torch.Tensor | None:
        """Return the model's trained codes, ``[K, D]``, to use as centroids; None: features are clustered."""
        return None

    @classmethod
    def fit(cls, config: EncoderConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Train the encoder on the training split, and cluster its features unless it has codes. Resumes after a kill.

        Raises:
            InvalidManifest: the training split lacks the audio or text that the encoder is trained on.
            ValueError: the training split has fewer frames than `clusters`.
        """
        files = job.directory
        model = cls.train(config, data, job)
        dtype = getattr(torch, config.weights_dtype)
        save_tensors(files / _ENCODER, {k: x.to(dtype) for k, x in model.state_dict().items()})
        # Reload the weights, because the centroids must match the features of the rounded weights.
        unclustered = cls(config, cls._read(config, files, job.device), torch.empty(0, device=job.device))
        centroids = unclustered.codes()
        if centroids is None:
            centroids = fit_centroids(
                data,
                unclustered.features,
                sample_rate_hz=SAMPLE_RATE_HZ,
                clusters=config.clusters,
                frames=config.sample_frames,
                job=job,
            )
        save_tensors(files / _CODEBOOK, {"centroids": centroids.cpu()})

    @classmethod
    def load(
        cls,
        config: EncoderConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Self:
        """Read the encoder and the centroids from `files`. Computation is in float32; `dtype` is ignored."""
        assert files is not None, "a component with the tag fit is loaded from its artifact"
        centroids = read_tensors(files / _CODEBOOK, {"centroids": (None, None)})["centroids"].to(device)
        return cls(config, cls._read(config, files, device), centroids)

    @classmethod
    def _read(cls, config: EncoderConfig, files: Path, device: torch.device) -> nn.Module:
        return read_module(files / _ENCODER, lambda: cls.build_model(config, files)).to(device).eval()

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Return one stream of units at 25 Hz per audio.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
        """
        return encode_nearest(self.features(audios), self.centroids)

    def features(self, audios: list[Audio]) -> list[torch.Tensor]:
        """Return the vectors that are clustered, float32 ``[F, D]`` at 25 Hz, per audio.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
        """
        require_audio(audios, SAMPLE_RATE_HZ, 1)
        return self.run(audios, self.feature_function())

    @torch.inference_mode()
    def run(self, audios: list[Audio], compute: Compute) -> list[torch.Tensor]:
        """Return the output of `compute`, ``[F, D]``, for each audio; run it in batches of similar length."""
        features = [normalise(compute_mel(a)) for a in audios]
        sizes = [round_length(len(x)) for x in features]
        results: dict[int, torch.Tensor] = {}
        for positions in bucket(sizes, int(self.config.encode_batch_s * MEL.frame_rate_hz), order=by_length(sizes)):
            group = positions.tolist()
            batch, lengths = pad_batch([features[i] for i in group])
            outputs, frames = compute(batch.to(self.centroids.device), lengths.to(self.centroids.device))
            results |= {i: x[:n] for i, x, n in zip(group, outputs, frames.tolist(), strict=True)}
        return [results[i] for i in range(len(audios))]
