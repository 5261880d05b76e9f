"""`mel-rvq`: log-mel frames as sums of codebook entries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from areca.errors import InvalidManifest
from areca.fitting.residual import fit_levels, quantize, reconstruct
from areca.fitting.resume import save_tensors
from areca.fitting.sampling import sample_features
from areca.hub.tensors import read_tensors
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.mel import LOG_FLOOR, SPEECH, Inversion, count_frames, invert, log_mel
from areca.types import Audio, Codes, require_audio, stack_codes
from areca_melrvq import SAMPLE_RATE_HZ, MelRvqConfig, spec

if TYPE_CHECKING:
    from areca_melrvq.inverter import NeuralInversion, NeuralInverter

_CODEBOOKS = "codebooks.safetensors"


class MelRvq:
    """Residual vector quantization of log-mel frames, which are normalised by band and stacked to the code rate.

    Utterances are encoded and decoded one at a time, so that batches cannot change the result.
    """

    def __init__(
        self, config: MelRvqConfig, tensors: Mapping[str, torch.Tensor], inverter: NeuralInverter | None = None
    ) -> None:
        """Create the tokenizer.

        Args:
            config: the options.
            tensors: ``codebooks`` ``[L, K, stack * 80]``, ``mean`` and ``deviation`` ``[80]``, all float32.
            inverter: turns log-mels into audio; None: Griffin-Lim.
        """
        self.config, self.inverter = config, inverter
        self._codebooks, self.mean, self.deviation = (tensors[name] for name in ("codebooks", "mean", "deviation"))

    @staticmethod
    def fit(config: MelRvqConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Train the codebooks on the training split, source and target side, then the neural inverter if there is one.

        Raises:
            InvalidManifest: the training split has no audio, fewer frames than `clusters`, or for the inverter no
                recording that is as long as a segment.
        """

        def encode(audios: list[Audio]) -> list[torch.Tensor]:
            return [stacked_mel(a, config).flatten(1) for a in audios]

        points = sample_features(data, encode, sample_rate_hz=SAMPLE_RATE_HZ, frames=config.sample_frames, job=job)
        if len(points) < config.clusters:
            raise InvalidManifest(
                f"mel-rvq: {config.clusters} clusters need as many frames, the training split has {len(points)}"
            )
        # Normalise each mel band.
        frames = points.view(-1, SPEECH.mels)
        mean, deviation = frames.mean(0), frames.std(0).clamp(min=1e-2)
        normal = ((frames - mean) / deviation).view_as(points).to(job.device)
        codebooks = fit_levels(
            normal,
            config.levels,
            config.clusters,
            generator=torch.Generator().manual_seed(job.seed),
            report=lambda level: job.progress(level, config.levels, "codebooks"),
        )
        tensors = {"codebooks": codebooks.cpu(), "mean": mean, "deviation": deviation}
        save_tensors(job.directory / _CODEBOOKS, tensors)
        if config.inverter == "neural":
            from areca_melrvq.training import train_inverter

            train_inverter(config, MelRvq(config, {name: x.to(job.device) for name, x in tensors.items()}), data, job)

    @staticmethod
    def load(
        config: MelRvqConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> MelRvq:
        """Read the codebooks from `files`. Computation is in float32; `dtype` is ignored."""
        assert files is not None, "a component with the tag fit is loaded from its artifact"
        bands = (SPEECH.mels,)
        shapes = {"codebooks": (config.levels, config.clusters, None), "mean": bands, "deviation": bands}
        tensors = read_tensors(files / _CODEBOOKS, shapes)
        inverter = None
        if config.inverter == "neural":
            from areca_melrvq.inverter import load_inverter  # slow: it imports transformers

            inverter = load_inverter(files, config.inverter_channels, tensors["mean"], tensors["deviation"]).to(device)
        return MelRvq(config, {name: x.to(device) for name, x in tensors.items()}, inverter)

    def codebooks(self) -> list[torch.Tensor]:
        """Return the entries of each level, float32 ``[clusters, stack * 80]``, in normalised log-mels."""
        return list(self._codebooks)

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Encode mono audio at 16 kHz; silence pads the last code.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
        """
        require_audio(audios, SAMPLE_RATE_HZ, 1)
        return [self._encode(a) for a in audios]

    def _encode(self, audio: Audio) -> Codes:
        stacked = stacked_mel(audio, self.config).to(self.mean.device)
        normal = ((stacked - self.mean) / self.deviation).flatten(1)
        return Codes(tuple(quantize(normal, self._codebooks).cpu()))

    def decode(self, codes: list[Codes]) -> list[Audio]:
        """Decode codes to mono audio at 16 kHz. Griffin-Lim's initial phases are always the same.

        Raises:
            InvalidCodes: an empty list, codes out of range, or streams of different lengths.
        """
        return [self._decode(c) for c in stack_codes(codes, spec(self.config, {}).streams)]

    def open(self) -> MelRvqSession:
        """Begin an utterance whose audio is that of `decode`."""
        return MelRvqSession(self)

    def reconstruct_mel(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the log-mels, float32 ``[80, F * stack]``, of codes, int64 ``[L, F]``."""
        stacked = reconstruct(codes.to(self.mean.device), self._codebooks)
        mel = stacked.view(-1, SPEECH.mels) * self.deviation + self.mean
        return mel.T.clamp(min=LOG_FLOOR)

    def _decode(self, codes: torch.Tensor) -> Audio:
        mel = self.reconstruct_mel(codes)
        if self.inverter is not None:
            samples = self.inverter.invert(mel)
        else:
            samples = invert(mel, generator=_phases(), iterations=self.config.phase_iterations)
        return Audio(samples.cpu()[None], SAMPLE_RATE_HZ, "mel-rvq")


class MelRvqSession:
    """An utterance that `mel-rvq` decodes while its codes arrive."""

    def __init__(self, tokenizer: MelRvq) -> None:
        self._tokenizer = tokenizer
        self._streams = spec(tokenizer.config, {}).streams
        self._inversion: Inversion | NeuralInversion = (
            Inversion(generator=_phases(), iterations=tokenizer.config.phase_iterations)
            if tokenizer.inverter is None
            else tokenizer.inverter.open()
        )

    def push(self, codes: Codes) -> Audio | None:
        """Append codes, and return the audio that they complete.

        Raises:
            InvalidCodes: no codes, codes out of range, or streams of different lengths.
        """
        [stacked] = stack_codes([codes], self._streams)
        return _audio(self._inversion.push(self._tokenizer.reconstruct_mel(stacked)))

    def finish(self) -> Audio | None:
        """Return the rest of the audio."""
        return _audio(self._inversion.finish())


def _phases() -> torch.Generator:
    """Return the generator of the initial phases, which are always the same."""
    return torch.Generator().manual_seed(0)


def _audio(samples: torch.Tensor) -> Audio | None:
    return Audio(samples.cpu()[None], SAMPLE_RATE_HZ, "mel-rvq") if samples.numel() else None


def stacked_mel(audio: Audio, config: MelRvqConfig) -> torch.Tensor:
    """Return log-mels ``[codes, stack, 80]`` of audio at 16 kHz; silence pads the last code."""
    stack = round(SPEECH.frame_rate_hz) // config.frame_rate_hz
    codes = -(-count_frames(audio.samples.shape[1]) // stack)
    missing = codes * stack * SPEECH.hop - audio.samples.shape[1]
    return log_mel(functional.pad(audio.samples[0], (0, missing))).T.reshape(codes, stack, SPEECH.mels)
