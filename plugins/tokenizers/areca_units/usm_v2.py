"""`usm-v2`: a speech encoder trained with an ASR loss, and clusters of what it computes.

After the second USM tokenizer of AudioPaLM (Rubenstein et al. 2023, section 3.1), in a size that trains on a CPU.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from areca.interfaces import Job
from areca.manifest import Manifest
from areca.types import Audio, Codes, require_audio
from areca_units import SAMPLE_RATE_HZ, UsmV2Config
from areca_units.ctc import Alphabet, CtcModel
from areca_units.features import MEL, grouped, mel_of, normalise, padded
from areca_units.kmeans import assign, fit_kmeans
from areca_units.mels import remove_mels
from areca_units.sampling import sample_features
from areca_units.state import write_tensors
from areca_units.training import train_ctc

_STATE, _MELS, _ALPHABET = "training.safetensors", "mels.f16", "alphabet.json"
_ENCODER, _CODEBOOK = "encoder.safetensors", "codebook.safetensors"


class UsmV2:
    """The nearest centroid of what the encoder says, every 40 ms."""

    def __init__(self, config: UsmV2Config, model: CtcModel, alphabet: Alphabet, centroids: torch.Tensor) -> None:
        self.config, self.model, self.alphabet, self.centroids = config, model, alphabet, centroids

    @staticmethod
    def fit(config: UsmV2Config, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Train the encoder on the training split's transcripts and cluster what it says; goes on after a kill.

        Raises:
            InvalidManifest: no row of the training split has audio and text.
            ValueError: the training split has fewer frames than `clusters`.
        """
        files, state, mels = job.directory, job.directory / _STATE, job.directory / _MELS
        if not (files / _CODEBOOK).exists():
            model, alphabet = train_ctc(config, data, job, state, mels)
            stored = getattr(torch, config.weights_dtype)
            write_tensors(files / _ENCODER, {k: x.to(stored) for k, x in model.state_dict().items()})
            (files / _ALPHABET).write_text(json.dumps({"symbols": alphabet.symbols}), encoding="utf-8")
            # Clusters are of what the stored weights compute, not of what they were before rounding.
            unclustered = UsmV2(config, *_read_model(config, files, job.device), torch.empty(0))
            points = sample_features(data, unclustered.features, frames=config.sample_frames, job=job)
            generator = torch.Generator().manual_seed(job.seed)
            centroids = fit_kmeans(points.to(job.device), config.clusters, generator=generator)
            write_tensors(files / _CODEBOOK, {"centroids": centroids.cpu()})
        state.unlink(missing_ok=True)
        remove_mels(mels)

    @staticmethod
    def load(
        config: UsmV2Config,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> UsmV2:
        """Read encoder and centroids from `files`; computing is in float32 whatever `dtype` says."""
        assert files is not None, "a component with tag fit is loaded from its artifact"
        centroids = load_file(files / _CODEBOOK)["centroids"].to(device)
        return UsmV2(config, *_read_model(config, files, device), centroids)

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Return one stream of units at 25 Hz for each audio.

        Raises:
            InvalidAudio: nothing, or audio of another rate or channel count.
        """
        require_audio(audios, SAMPLE_RATE_HZ, 1)
        return [Codes((assign(x, self.centroids)[0].cpu(),)) for x in self.features(audios)]

    def features(self, audios: list[Audio]) -> list[torch.Tensor]:
        """Return what is clustered, float32 ``[F, D]`` at 25 Hz, of each audio."""
        if self.config.features == "posteriors":
            return self._run(audios, self.model.posteriors)
        return self._run(audios, lambda x, n: self.model.encoder(x, n, self.config.layer))

    def transcribe(self, audios: list[Audio]) -> list[str]:
        """Return what the CTC head reads, greedily: how much of the words the encoder has understood."""
        return [self.alphabet.decode(x.argmax(-1)) for x in self._run(audios, self.model)]

    @torch.inference_mode()
    def _run(self, audios: list[Audio], compute: Any) -> list[torch.Tensor]:
        features = [normalise(mel_of(a)) for a in audios]
        lengths = [len(x) for x in features]
        order = sorted(range(len(audios)), key=lambda i: lengths[i])
        results: dict[int, torch.Tensor] = {}
        for group in grouped(order, lengths, int(self.config.encode_batch_s * MEL.frame_rate_hz)):
            batch, sizes = padded([features[i] for i in group])
            outputs, frames = compute(batch.to(self.centroids.device), sizes.to(self.centroids.device))
            results |= {i: x[:n] for i, x, n in zip(group, outputs, frames.tolist(), strict=True)}
        return [results[i] for i in range(len(audios))]


def _read_model(config: UsmV2Config, files: Path, device: torch.device) -> tuple[CtcModel, Alphabet]:
    alphabet = Alphabet(json.loads((files / _ALPHABET).read_text(encoding="utf-8"))["symbols"])
    with torch.device("meta"):  # nothing is drawn for weights that are read
        model = CtcModel(config, len(alphabet.symbols))
    weights = {name: x.float().to(device) for name, x in load_file(files / _ENCODER).items()}
    model.load_state_dict(weights, assign=True)
    return model.eval(), alphabet
