"""Units of a speech encoder that is trained here: what `usm-v1`, `usm-v2` and `w2v-bert-nano` have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from areca.batching import by_size, pad_batch, round_length
from areca.fitting.kmeans import assign
from areca.fitting.resume import write_tensors
from areca.fitting.sampling import fit_centroids
from areca.hub.tensors import read_module, read_tensors
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.types import Audio, Codes, require_audio
from areca_units import SAMPLE_RATE_HZ
from areca_units.features import MEL, mel_of, normalise
from areca_units.options import EncoderConfig

_ENCODER, _CODEBOOK = "encoder.safetensors", "codebook.safetensors"

Compute = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Padded features and their lengths to padded outputs and theirs."""


class EncoderUnits(ABC):
    """The nearest centroid of what an encoder says, every 40 ms."""

    def __init__(self, config: Any, model: nn.Module, centroids: torch.Tensor) -> None:
        self.config, self.model, self.centroids = config, model, centroids

    @classmethod
    @abstractmethod
    def train(cls, config: Any, data: Manifest, job: Job) -> nn.Module:
        """Return the trained model, and write beside it what `empty` needs to make its like."""

    @classmethod
    @abstractmethod
    def empty(cls, config: Any, files: Path) -> nn.Module:
        """Return a model of the same shape, whose weights do not matter."""

    @abstractmethod
    def clustered(self) -> Compute:
        """Return what computes the points ``[B, F, D]`` whose nearest centroid is the unit."""

    def codes(self) -> torch.Tensor | None:
        """Return the codes ``[K, D]`` that the model has learnt; None: its outputs are clustered."""
        return None

    @classmethod
    def fit(cls, config: EncoderConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Train the encoder on the training split and cluster what it says, unless it has codes; goes on after a kill.

        Raises:
            InvalidManifest: the training split has not what the encoder is trained on.
            ValueError: it has fewer frames than `clusters`.
        """
        files = job.directory
        model = cls.train(config, data, job)
        stored = getattr(torch, config.weights_dtype)
        write_tensors(files / _ENCODER, {k: x.to(stored) for k, x in model.state_dict().items()})
        # Clusters are of what the stored weights compute, not of what they were before rounding.
        unclustered = cls(config, cls._read(config, files, job.device), torch.empty(0, device=job.device))
        centroids = unclustered.codes()
        if centroids is None:
            frames = config.sample_frames
            centroids = fit_centroids(
                data,
                unclustered.features,
                sample_rate_hz=SAMPLE_RATE_HZ,
                clusters=config.clusters,
                frames=frames,
                job=job,
            )
        write_tensors(files / _CODEBOOK, {"centroids": centroids.cpu()})

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
        """Read encoder and centroids from `files`; computing is in float32 whatever `dtype` says."""
        assert files is not None, "a component with tag fit is loaded from its artifact"
        centroids = read_tensors(files / _CODEBOOK, {"centroids": (None, None)})["centroids"].to(device)
        return cls(config, cls._read(config, files, device), centroids)

    @classmethod
    def _read(cls, config: EncoderConfig, files: Path, device: torch.device) -> nn.Module:
        return read_module(files / _ENCODER, lambda: cls.empty(config, files)).to(device).eval()

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Return one stream of units at 25 Hz for each audio.

        Raises:
            InvalidAudio: nothing, or audio of another rate or channel count.
        """
        return [Codes((assign(x, self.centroids)[0].cpu(),)) for x in self.features(audios)]

    def features(self, audios: list[Audio]) -> list[torch.Tensor]:
        """Return what is clustered, float32 ``[F, D]`` at 25 Hz, of each audio.

        Raises:
            InvalidAudio: nothing, or audio of another rate or channel count.
        """
        require_audio(audios, SAMPLE_RATE_HZ, 1)
        return self.run(audios, self.clustered())

    @torch.inference_mode()
    def run(self, audios: list[Audio], compute: Compute) -> list[torch.Tensor]:
        """Return what `compute` makes of each audio, in batches of similar length."""
        features = [normalise(mel_of(a)) for a in audios]
        sizes = [round_length(len(x)) for x in features]
        results: dict[int, torch.Tensor] = {}
        for group in by_size(sizes, int(self.config.encode_batch_s * MEL.frame_rate_hz)):
            batch, lengths = pad_batch([features[i] for i in group])
            outputs, frames = compute(batch.to(self.centroids.device), lengths.to(self.centroids.device))
            results |= {i: x[:n] for i, x, n in zip(group, outputs, frames.tolist(), strict=True)}
        return [results[i] for i in range(len(audios))]
