"""Speak units while they arrive. The audio is that of the whole utterance."""

from __future__ import annotations

import torch

from areca.sliding import Sliding
from areca.types import Audio, Codes, require_codes
from areca_unit_hifigan.voice import Voice

_BLOCK = 16
"""Frames that are synthesised together: single frames would take ten times as long, larger blocks delay the audio."""


class UnitHifiganSession:
    """An utterance of a code HiFi-GAN.

    Its network sees some frames on either side of a frame, so the audio follows the units: by 37 frames at most with
    the paper's sizes, 0.74 s at 50 Hz.

    Args:
        voice: who speaks.
    """

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._audio = Sliding(
            lambda frames: voice.synthesize(frames[:, 0]).reshape(len(frames), -1), voice.audio_reach, _BLOCK
        )
        self._durations = Sliding(lambda units: voice.predict(units[:, 0])[:, None], voice.duration_reach)
        self._untimed = torch.zeros(0, dtype=torch.int64, device=voice.device)
        """Units whose durations are not yet predicted."""

    @torch.inference_mode()
    def push(self, codes: Codes) -> Audio | None:
        """Append units, and return the audio that they complete. Missing durations are predicted.

        Raises:
            InvalidCodes: no units, or units out of range.
        """
        require_codes([codes], (self._voice.stream,))
        units = codes.streams[0].to(self._voice.device)
        return self._speak(self._time(units) if codes.durations is None else self._voice.spread(codes))

    @torch.inference_mode()
    def finish(self) -> Audio | None:
        """Return the rest of the audio."""
        none = self._untimed[:0]
        return self._speak(self._time(none, last=True) if len(self._untimed) else none, last=True)

    def _time(self, units: torch.Tensor, *, last: bool = False) -> torch.Tensor:
        """Append units, and return the frames of those whose durations are now known."""
        durations = self._durations.push(units[:, None], last=last)
        units = torch.cat((self._untimed, units))
        count = 0 if durations is None else len(durations)
        self._untimed = units[count:]
        return units[:0] if durations is None else units[:count].repeat_interleave(durations[:, 0])

    def _speak(self, frames: torch.Tensor, *, last: bool = False) -> Audio | None:
        """Append frames, and return the audio that they complete."""
        samples = self._audio.push(frames[:, None], last=last)
        return None if samples is None else self._voice.to_audio(samples.flatten())
