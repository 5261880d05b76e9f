"""`soundstream`: turns speech into codes of several levels, and any number of the first levels back into speech."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from areca.fitting.resume import save_tensors
from areca.hub.tensors import read_module
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.types import Audio, Codes, require_audio, stack_codes
from areca_soundstream.corpus import read_speech
from areca_soundstream.network import Codec, Past
from areca_soundstream.options import LevelsConfig, SoundStreamConfig, spec
from areca_soundstream.training import train

_CODEC = "codec.safetensors"
_PIECE_FRAMES = 1_000
"""Frames that are computed together: memory does not grow with the recording."""


class SoundStream:
    """A codec. Recordings are encoded and decoded one at a time, so that batches cannot change the result."""

    def __init__(self, config: SoundStreamConfig, codec: Codec, levels: int) -> None:
        """Create the tokenizer.

        Args:
            config: the options.
            codec: the networks, in evaluation mode.
            levels: number of levels to use, coarsest first.
        """
        self.config, self.codec, self.levels = config, codec, levels
        self.streams = spec(config, {}).streams[:levels]

    @staticmethod
    def fit(config: SoundStreamConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Train the codec on the training split, source and target side. Resumes after a kill.

        Raises:
            InvalidManifest: the training split has no audio.
        """
        codec = train(config, read_speech(config, data, job), job)
        dtype = getattr(torch, config.weights_dtype)
        weights = {name: x.detach().to("cpu", dtype) for name, x in codec.state_dict().items()}
        save_tensors(job.directory / _CODEC, weights)

    @staticmethod
    def load(
        config: SoundStreamConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> SoundStream:
        """Read the codec from `files`. Computation is in float32; `dtype` is ignored."""
        assert files is not None, "a component with the tag fit is loaded from its artifact"
        codec = read_module(files / _CODEC, lambda: Codec(config))
        return SoundStream(config, codec.to(device).eval(), config.levels)

    def first_levels(self, levels: int) -> SoundStream:
        """Return the tokenizer of the first `levels` levels, with the same networks."""
        return SoundStream(self.config, self.codec, levels)

    def codebooks(self) -> list[torch.Tensor]:
        """Return the entries of each level, float32 ``[codebook_size, dimension]``."""
        return list(self.codec.codebooks[: self.levels])

    @torch.inference_mode()
    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Encode mono audio at the rate of the options; silence pads the last frame.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
        """
        require_audio(audios, self.config.sample_rate_hz, 1)
        return [self._encode(a.samples[0]) for a in audios]

    def decode(self, codes: list[Codes]) -> list[Audio]:
        """Decode codes to mono audio.

        Raises:
            InvalidCodes: an empty list, codes out of range, or streams of different lengths.
        """
        stacked = stack_codes(codes, self.streams)
        return [self._decode(c, {}) for c in stacked]

    def open(self) -> SoundStreamSession:
        """Begin an utterance whose audio is that of `decode`."""
        return SoundStreamSession(self)

    def _encode(self, samples: torch.Tensor) -> Codes:
        hop = self.config.hop
        padded = functional.pad(samples, (0, -len(samples) % hop)).to(self.codec.codebooks.device)
        past: Past = {}
        pieces = [self.codec.encode(x, self.levels, past) for x in torch.split(padded, _PIECE_FRAMES * hop)]
        return Codes(tuple(torch.cat(pieces, 1).cpu()))

    @torch.inference_mode()
    def _decode(self, codes: torch.Tensor, past: Past) -> Audio:
        """Return the audio of the next codes, int64 ``[levels, F]``."""
        moved = codes.to(self.codec.codebooks.device)
        samples = torch.cat([self.codec.decode(x, past) for x in torch.split(moved, _PIECE_FRAMES, 1)])
        return Audio(samples.cpu()[None], self.config.sample_rate_hz, "soundstream")


class SoundStreamSession:
    """An utterance that `soundstream` decodes while its codes arrive: each frame's audio at once."""

    def __init__(self, tokenizer: SoundStream) -> None:
        self._tokenizer = tokenizer
        self._past: Past = {}

    def push(self, codes: Codes) -> Audio | None:
        """Append codes, and return their audio.

        Raises:
            InvalidCodes: no codes, codes out of range, or streams of different lengths.
        """
        [stacked] = stack_codes([codes], self._tokenizer.streams)
        return self._tokenizer._decode(stacked, self._past)

    def finish(self) -> Audio | None:
        """Return None: no audio is left."""
        return None


class Levels:
    """The target of `soundstream-levels`."""

    @staticmethod
    def load(
        config: LevelsConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> SoundStream:
        """Return the inner tokenizer with fewer levels."""
        inner: SoundStream = needs["tokenizer"]
        return inner.first_levels(config.levels)
