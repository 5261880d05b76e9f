"""Speak units while they arrive. The audio is that of the whole utterance."""

from __future__ import annotations

import torch

from areca.fitting.durations import durations_of
from areca.mel import LOG_FLOOR, SPEECH, Inversion
from areca.sliding import Sliding
from areca.specs import Stream
from areca.types import Audio, Codes, require_codes
from areca_unitmel import SAMPLE_RATE_HZ
from areca_unitmel.network import Voice


class UnitMelSession:
    """An utterance of `unit-mel`.

    The networks see some units on either side of a unit, and phase reconstruction some frames, so the audio follows the
    units: by 2.5 s with the default options and units at 25 Hz.

    Args:
        voice: the networks, in evaluation mode.
        stream: the units that they accept.
        iterations: Griffin-Lim iterations.
        generator: CPU generator that draws the initial phases.
    """

    def __init__(self, voice: Voice, stream: Stream, *, iterations: int, generator: torch.Generator) -> None:
        self._voice, self._stream = voice, stream
        self._inversion = Inversion(generator=generator, iterations=iterations)
        self._mels = Sliding(self._compute_mels, voice.mel.reach)
        self._lengths = Sliding(self._expect_durations, 0 if voice.duration is None else voice.duration.reach)
        self._untimed = torch.zeros(0, dtype=torch.int64, device=voice.mel.mean.device)
        """Units whose durations are not yet predicted."""
        self._end = torch.zeros(1, dtype=torch.float64)
        """Predicted end of the last timed unit, in frames of the base rate."""

    @torch.inference_mode()
    def push(self, codes: Codes) -> Audio | None:
        """Append units, and return the audio that they complete. Missing durations are predicted.

        Raises:
            InvalidCodes: no units, or units out of range.
        """
        require_codes([codes], (self._stream,))
        units = codes.streams[0].to(self._untimed.device)
        if codes.durations is not None:
            return self._speak(units.repeat_interleave(codes.durations.to(units.device)))
        return self._speak(units if self._voice.duration is None else self._time(units))

    @torch.inference_mode()
    def finish(self) -> Audio | None:
        """Return the rest of the audio."""
        none = self._untimed[:0]
        return self._speak(self._time(none, last=True) if len(self._untimed) else none, last=True)

    def _time(self, units: torch.Tensor, *, last: bool = False) -> torch.Tensor:
        """Append deduplicated units, and return those whose durations are now known, one per frame of the base rate."""
        units = torch.cat((self._untimed, units))
        expected = self._lengths.push(units[len(self._untimed) :, None], last=last)
        count = 0 if expected is None else len(expected)
        self._untimed = units[count:]
        if expected is None:
            return units[:0]
        durations, self._end = durations_of(expected[:, 0], self._end)
        return units[:count].repeat_interleave(durations)

    def _speak(self, units: torch.Tensor, *, last: bool = False) -> Audio | None:
        """Append units at the base rate, and return the audio that they complete."""
        mels = self._mels.push(units[:, None], last=last)
        pieces = [] if mels is None else [self._inversion.push(mels.reshape(-1, SPEECH.mels).T)]
        samples = torch.cat([*pieces, self._inversion.finish()] if last else pieces or [torch.zeros(0)])
        return Audio(samples.cpu()[None], SAMPLE_RATE_HZ, "unit-mel") if samples.numel() else None

    def _compute_mels(self, units: torch.Tensor) -> torch.Tensor:
        """Return log-mels ``[U, frames * 80]`` of units ``[U, 1]``."""
        row = units.T
        mel: torch.Tensor = self._voice.mel(row, torch.ones_like(row, dtype=torch.float32))[0]
        return mel.clamp(min=LOG_FLOOR).T.reshape(len(units), -1)

    def _expect_durations(self, units: torch.Tensor) -> torch.Tensor:
        assert self._voice.duration is not None, "only deduplicated units have durations"
        return self._voice.duration.expect(units[:, 0])[:, None]
