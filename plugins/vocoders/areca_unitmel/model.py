"""`unit-mel`: turns units into speech in the voice of its training data.

The two steps and the prediction of durations follow Lakhotia et al. 2021 (section 3) and Lee et al. 2022 (Direct
speech-to-speech translation with discrete units, section 3.4), with far smaller networks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from areca.errors import ArecaError, InvalidArtifact, quote
from areca.files.reading import parse_json
from areca.fitting.resume import save_tensors
from areca.hub.tensors import read_module
from areca.hub.weights import read_header
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.mel import LOG_FLOOR, invert
from areca.specs import Stream, TokenizerSpec
from areca.types import Audio, Codes, VoicePrompt, require_codes
from areca_unitmel import MEL_RATE_HZ, SAMPLE_RATE_HZ, UnitMelConfig, unit_rate_hz
from areca_unitmel.corpus import read_clips
from areca_unitmel.network import Shape, Voice
from areca_unitmel.session import UnitMelSession
from areca_unitmel.training import train

_VOICE = "voice.safetensors"
_MOST = 1 << 20
"""Upper limit of every size in a stored shape."""


class UnitMel:
    """A vocoder that speaks units, one utterance at a time, so that batches cannot change the audio."""

    def __init__(self, config: UnitMelConfig, shape: Shape, voice: Voice) -> None:
        self.config, self.shape, self.voice = config, shape, voice

    @staticmethod
    def fit(config: UnitMelConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Train the networks on `config.voice`, or on the target audio of the training split. Resumes after a kill.

        Raises:
            InvalidManifest: the training split has no speech of the voice.
        """
        shape = _shape(config, job.specs["tokenizer"])
        voice = train(config, shape, read_clips(config, data, job), job)
        dtype = getattr(torch, config.weights_dtype)
        weights = {name: x.to(dtype) for name, x in voice.state_dict().items()}
        save_tensors(job.directory / _VOICE, weights, {"shape": json.dumps(asdict(shape))})

    @staticmethod
    def load(
        config: UnitMelConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> UnitMel:
        """Read the networks from `files`. Computation is in float32; `dtype` is ignored."""
        assert files is not None, "a component with the tag fit is loaded from its artifact"
        shape = _stored_shape(files / _VOICE)
        voice = read_module(files / _VOICE, lambda: Voice(shape))
        return UnitMel(config, shape, voice.to(device).eval())

    def synthesize(
        self, codes: list[Codes], voices: Sequence[VoicePrompt | None], *, generator: torch.Generator
    ) -> list[Audio]:
        """Return the speech of each of `codes`; missing durations of deduplicated units are predicted.

        Args:
            codes: one stream of units per utterance.
            voices: None for each utterance.
            generator: CPU generator that draws the initial phases.

        Raises:
            InvalidCodes: an empty list, or units out of range.
            ArecaError: a voice is given.
        """
        _refuse(voices)
        require_codes(codes, (self._stream,))
        return [self._speak(c, generator) for c in codes]

    def open(self, voice: VoicePrompt | None, *, generator: torch.Generator) -> UnitMelSession:
        """Begin an utterance whose audio is that of `synthesize`.

        Args:
            voice: None.
            generator: CPU generator that draws the initial phases.

        Raises:
            ArecaError: a voice is given.
        """
        _refuse([voice])
        return UnitMelSession(self.voice, self._stream, iterations=self.config.phase_iterations, generator=generator)

    @property
    def _stream(self) -> Stream:
        """The units that the vocoder accepts."""
        rate = MEL_RATE_HZ / self.shape.frames_per_unit
        return Stream("unit", self.shape.units, None if self.voice.duration else rate)

    @torch.inference_mode()
    def _speak(self, codes: Codes, generator: torch.Generator) -> Audio:
        units = self._at_base_rate(codes)
        mel = self.voice.mel(units[None], torch.ones_like(units[None], dtype=torch.float32))[0]
        samples = invert(mel.clamp(min=LOG_FLOOR), generator=generator, iterations=self.config.phase_iterations)
        return Audio(samples.cpu()[None], SAMPLE_RATE_HZ, "unit-mel")

    def _at_base_rate(self, codes: Codes) -> torch.Tensor:
        """Return the units, int64 ``[F]``, one per frame of the base rate."""
        units = codes.streams[0].to(self.voice.mel.mean.device)
        if codes.durations is not None:
            return units.repeat_interleave(codes.durations.to(units.device))
        if self.voice.duration is not None:
            return units.repeat_interleave(self.voice.duration.predict(units))
        return units


def _refuse(voices: Sequence[VoicePrompt | None]) -> None:
    if given := [v for v in voices if v is not None]:
        raise ArecaError(f"unit-mel speaks in the one voice it was trained on, got {len(given)} voice prompt(s)")


def _stored_shape(path: Path) -> Shape:
    """Return the shape in the metadata of a voice's file.

    Raises:
        InvalidArtifact: there is no shape, or its values are impossible.
    """
    stored = parse_json(read_header(path).metadata.get("shape", "null"), f"{path}: shape")
    names = [field.name for field in fields(Shape)]
    sizes = list(stored.values()) if isinstance(stored, dict) and sorted(stored) == sorted(names) else []
    if not sizes or any(type(n) is not int or not 0 <= n < _MOST for n in sizes if n is not None):
        raise InvalidArtifact(f"{path}: expected a shape of {', '.join(names)}, got {quote(stored)}")
    return Shape(**stored)


def _shape(config: UnitMelConfig, tokenizer: Any) -> Shape:
    assert isinstance(tokenizer, TokenizerSpec)
    stream = tokenizer.streams[0]
    longest = config.longest if stream.frame_rate_hz is None else None
    frames = round(MEL_RATE_HZ / unit_rate_hz(tokenizer))
    return Shape(stream.size, frames, config.width, config.layers, config.fine_layers, longest)
