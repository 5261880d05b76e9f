"""One speaker of a loaded code HiFi-GAN."""

from __future__ import annotations

from typing import Any

import torch

from areca.fitting.hifigan.generator import reach_of
from areca.specs import Stream
from areca.types import Audio, Codes
from areca_unit_hifigan import network
from areca_unit_hifigan.properties import FRAMES_PER_UNIT


class Voice:
    """A network, and who speaks in which language.

    Args:
        model: a SeamlessM4TCodeHifiGan of either version, in evaluation mode.
        speaker: row in its table of speakers.
        language: row in its table of languages.
    """

    def __init__(self, model: Any, speaker: int, language: int) -> None:
        self._model, self._config = model, model.config
        self._rows = [torch.tensor([row], device=self.device) for row in (speaker, language)]
        self.stream = Stream("unit", self._config.unit_hifi_gan_vocab_size, None)
        """The units that it speaks."""
        self.audio_reach, self.duration_reach = reach_of(self._config), network.duration_reach(self._config)
        """Frames on either side that a frame's audio depends on, and units that a duration depends on."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = self._model.unit_embedding.weight.device
        return device

    def speak(self, codes: Codes) -> Audio:
        """Return the audio of an utterance; missing durations are predicted."""
        units = codes.streams[0].to(self.device)
        frames = self.spread(codes) if codes.durations is not None else units.repeat_interleave(self.predict(units))
        return self.to_audio(self.synthesize(frames))

    def spread(self, codes: Codes) -> torch.Tensor:
        """Return the unit of each frame, int64 ``[F]``, of codes with durations."""
        assert codes.durations is not None
        durations = codes.durations * getattr(self._config, FRAMES_PER_UNIT, 1)
        return codes.streams[0].to(self.device).repeat_interleave(durations.to(self.device))

    def predict(self, units: torch.Tensor) -> torch.Tensor:
        """Return the duration of each unit in frames, int64 ``[U]``, for units, int64 ``[U]``."""
        return network.predict_durations(self._model, units)

    def synthesize(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the samples, float32 ``[F * hop]``, for the unit of each frame, int64 ``[F]``."""
        return network.synthesize(self._model, frames[None], *self._rows)[0]

    def to_audio(self, samples: torch.Tensor) -> Audio:
        """Return samples ``[T]`` as audio."""
        return Audio(samples.cpu()[None], self._config.sampling_rate, "unit-hifigan")
