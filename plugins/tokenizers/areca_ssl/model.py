"""Units over a layer of a pretrained speech encoder: one class for all encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from areca.errors import InvalidConfig
from areca.fitting.kmeans import encode_nearest, fit_kmeans
from areca.fitting.resume import save_tensors
from areca.fitting.sampling import sample_features
from areca.hub.tensors import read_tensors
from areca.hub.weights import read_header
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.types import Audio, Codes, require_audio
from areca_ssl import SAMPLE_RATE_HZ, SslConfig, W2vBertConfig, WhisperConfig
from areca_ssl.checkpoint import fetch_encoder
from areca_ssl.fbank import FbankEncoder
from areca_ssl.waves import WaveEncoder
from areca_ssl.whisper import WhisperEncoder
from areca_ssl.windows import Encoder, cut_windows, pool_frames, run_encoder

_CODEBOOK = "codebook.safetensors"


class SslUnits:
    """A tokenizer whose units are the nearest centroids of a layer's output, 25 or 50 per second.

    Args:
        config: options of one of the three tokenizers.
        encoder: computes the layer's output.
        codebook: ``centroids``, float32 ``[clusters, D]``; with `config.normalise` also ``mean`` and ``deviation``,
            ``[D]``. Empty before the centroids are trained.
    """

    def __init__(self, config: SslConfig, encoder: Encoder, codebook: Mapping[str, torch.Tensor]) -> None:
        self.config, self.encoder, self.codebook = config, encoder, codebook

    @staticmethod
    def fit(config: SslConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Cluster the layer's output over the training split. Only the centroids are stored, not the encoder.

        Raises:
            InvalidManifest: the training split has no audio.
            InvalidConfig: the encoder does not match `config`.
            ArecaError: the encoder cannot be loaded.
            ValueError: the training split has fewer frames than `clusters`.
        """
        config = SslUnits.pinned(config)  # so that the recorded commit is the one that was used
        unclustered = SslUnits(config, open_encoder(config, job.device), {})
        points = sample_features(
            data, unclustered.features, sample_rate_hz=SAMPLE_RATE_HZ, frames=config.sample_frames, job=job
        ).to(job.device)
        codebook = {}
        if config.normalise:
            deviation, mean = torch.std_mean(points, 0, correction=0)
            codebook = {"mean": mean, "deviation": deviation.clamp(min=1e-5)}  # a dimension may be constant
        generator = torch.Generator().manual_seed(job.seed)
        centroids = fit_kmeans(_scale(points, codebook), config.clusters, generator=generator)
        codebook = {name: x.cpu() for name, x in {"centroids": centroids, **codebook}.items()}
        save_tensors(job.directory / _CODEBOOK, codebook, {"commit": config.revision} if config.path is None else None)

    @staticmethod
    def load(
        config: SslConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> SslUnits:
        """Load the encoder, and the centroids from `files`. Computation is in float32; `dtype` is ignored.

        Raises:
            InvalidConfig: the encoder does not match `config`, or is not the one that the centroids were trained on.
            ArecaError: the encoder cannot be loaded.
        """
        assert files is not None, "a component with the tag fit is loaded from its artifact"
        pinned = SslUnits.pinned(config)  # a commit in the cache needs no further request to the hub
        _check_commit(config, pinned, files)
        scale = {"mean": (None,), "deviation": (None,)} if config.normalise else {}
        codebook = read_tensors(files / _CODEBOOK, {"centroids": (config.clusters, None), **scale})
        codebook = {name: x.to(device) for name, x in codebook.items()}
        return SslUnits(config, open_encoder(pinned, device), codebook)

    @staticmethod
    def pinned(config: SslConfig) -> SslConfig:
        """Return `config` with its revision replaced by the commit that it names now."""
        return config if config.path is not None else replace(config, revision=fetch_encoder(config).name)

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Return one stream of units per audio.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
        """
        points = [_scale(x, self.codebook) for x in self.features(audios)]
        return encode_nearest(points, self.codebook["centroids"])

    @torch.inference_mode()
    def features(self, audios: list[Audio]) -> list[torch.Tensor]:
        """Return the vectors that are clustered, before scaling: float32 ``[F, D]`` at `frame_rate_hz`, per audio.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
        """
        require_audio(audios, SAMPLE_RATE_HZ, 1)
        config, encoder = self.config, self.encoder
        # Cut all recordings into windows, encode the windows in batches, and join the windows of each recording.
        pieces = [cut_windows(a.samples[0], config.longest_s, encoder.lookahead) for a in audios]
        windows = [encoder.prepare(piece) for recording in pieces for piece in recording]
        outputs = iter(run_encoder(encoder, windows, int(config.encode_batch_s * encoder.row_rate_hz)))
        joined = [torch.cat([next(outputs) for _ in recording]) for recording in pieces]
        return [pool_frames(x, config.frame_rate_hz) for x in joined]


def open_encoder(config: SslConfig, device: torch.device) -> Encoder:
    """Load the encoder that `config` names.

    Raises:
        InvalidConfig: the encoder does not match `config`.
        ArecaError: the encoder cannot be loaded.
    """
    if isinstance(config, WhisperConfig):
        return WhisperEncoder(config, device)
    if isinstance(config, W2vBertConfig):
        return FbankEncoder(config, device)
    return WaveEncoder(config, device)


def _check_commit(config: SslConfig, pinned: SslConfig, files: Path) -> None:
    """Raise InvalidConfig if the hub's branch has moved since the centroids were trained."""
    trained_on = read_header(files / _CODEBOOK).metadata.get("commit")
    if trained_on and trained_on != pinned.revision:
        raise InvalidConfig(
            f"{config.model}: its units were trained on commit {trained_on}, and revision {config.revision!r} is now "
            f"{pinned.revision}; give revision={trained_on}"
        )


def _scale(points: torch.Tensor, codebook: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return points ``[F, D]`` in the scale of the centroids."""
    return (points - codebook["mean"]) / codebook["deviation"] if "mean" in codebook else points
