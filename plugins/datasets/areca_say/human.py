"""Compose speech from recordings of words, as a telephone exchange does, but with inaudible joins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from areca.fitting.recordings.samples import Samples, fade, join, set_level, trim
from areca.types import Audio
from areca_say.asterisk.recordings import SAMPLE_RATE_HZ, Recordings, Voice
from areca_say.clips import Groups

_JOIN_S = 0.02
"""Seconds by which the words of a group overlap; trimming leaves as much silence at their ends."""
_OVERLAP = round(_JOIN_S * SAMPLE_RATE_HZ)
_PAUSE_S = 0.06
"""Seconds of silence between groups."""
_JITTER_S = 0.06
_JITTER_DB = 3.0


class Speaker:
    """A recorded voice and its words.

    Args:
        voice: the speaker of the recordings.
        archives: folder of the recordings, see `areca_say.asterisk.packages.locate_package`.
    """

    def __init__(self, voice: Voice, archives: Path | None) -> None:
        self.name = voice.folder
        self._recordings = Recordings(voice, archives)
        self._words: dict[str, Samples] = {}

    def can_say(self, groups: Groups) -> bool:
        """Return whether the speaker has every recording of `groups`."""
        return all(f"digits/{key}" in self._recordings.files for group in groups for key in group)

    def say(self, groups: Groups, rng: np.random.Generator | None = None) -> Samples:
        """Compose the recordings `groups` into float32 ``[T]`` at 16 kHz.

        Args:
            groups: keys below ``digits/``; the voice pauses between groups.
            rng: varies pauses (up to 60 ms longer) and level (3 dB up or down); None: no variation.

        Raises:
            InvalidAudio: a recording is missing or damaged.
        """
        parts: list[Samples] = []
        for number, group in enumerate(groups):
            if number:
                pause_s = _PAUSE_S + (rng.uniform(0, _JITTER_S) if rng else 0.0)
                parts.append(np.zeros(round(pause_s * SAMPLE_RATE_HZ), dtype=np.float32))
            parts.append(join([self._read_word(key) for key in group], _OVERLAP))
        samples = np.concatenate(parts)
        return samples * np.float32(10 ** (rng.uniform(-_JITTER_DB, _JITTER_DB) / 20)) if rng else samples

    def _read_word(self, key: str) -> Samples:
        """Return a trimmed word at the common level, faded at both ends for the joins."""
        if key not in self._words:
            samples = trim(self._recordings.read(f"digits/{key}").samples[0].numpy(), SAMPLE_RATE_HZ, _JOIN_S)
            self._words[key] = set_level(samples) * fade(len(samples), _OVERLAP)
        return self._words[key]


@dataclass(frozen=True, slots=True)
class Composition:
    """A sequence of recordings.

    Args:
        speaker: the recorded voice.
        groups: keys of the recordings below ``digits/``; the voice pauses between groups.
        seed: seed of the variation of pauses and level; None: no variation.
    """

    speaker: Speaker
    groups: Groups
    seed: int | None

    def audio(self) -> Audio:
        """Compose the recordings: mono, 16 kHz."""
        rng = None if self.seed is None else np.random.default_rng(self.seed)
        return Audio(torch.from_numpy(self.speaker.say(self.groups, rng))[None], SAMPLE_RATE_HZ, self.speaker.name)
