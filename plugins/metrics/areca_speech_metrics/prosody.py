"""The metrics `duration-ratio`, `speaking-rate` and `f0-correlation`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from areca.component import Configured
from areca.sound.hearing import trim_silence
from areca.types import Audio, Example
from areca_speech_metrics.comparing import Mean, recordings
from areca_speech_metrics.pitch import Array, cut_frames, track_pitch

_WINDOW_S = 0.064
_BELOW_MAXIMUM_DB, _DIP_DB = 25.0, 2.0
"""A syllable's peak is at most so far below the recording's maximum, with dips of at least that depth between peaks."""


class DurationRatio(Configured[Any]):
    """Seconds of the answers by seconds of the recordings that they are compared with."""

    def count(self, examples: Sequence[Example]) -> list[list[float]]:
        """Return the seconds of each answer, and of the other recording."""
        return [[audio.seconds for audio in recordings(example, self.config.compare_with)] for example in examples]

    def score(self, sums: Sequence[float]) -> float:
        """Return the ratio of the sums."""
        return sums[0] / sums[1]


class SpeakingRate(Configured[Any]):
    """Syllables a second in the answers by those in the other recordings (de Jong and Wempe 2009)."""

    def count(self, examples: Sequence[Example]) -> list[list[float]]:
        """Return syllables and seconds of each answer, then of the other recording, without silence at both ends."""
        return [
            [x for audio in recordings(example, self.config.compare_with) for x in _measure_rate(audio)]
            for example in examples
        ]

    def score(self, sums: Sequence[float]) -> float:
        """Return the ratio of the rates; 0 if no syllable is found in the other recordings."""
        syllables, seconds, other_syllables, other_seconds = sums
        return syllables / seconds * other_seconds / other_syllables if other_syllables else 0.0


class PitchCorrelation(Mean):
    """The mean over examples of Pearson's correlation of log F0, over the frames that are voiced in both recordings."""

    def value(self, example: Example) -> float:
        """Return the correlation; 0 if it is not defined, as for an answer without voiced frames."""
        pair = recordings(example, self.config.compare_with)
        if self.config.align == "stretch":
            pair = (_trim(pair[0]), _trim(pair[1]))
        answer, other = (np.log2(track_pitch(audio)) for audio in pair)
        return correlate(_stretch(answer, len(other)) if self.config.align == "stretch" else answer, other)


def correlate(a: Array, b: Array) -> float:
    """Return Pearson's correlation of two contours where both have a value, over the shorter length; 0: not defined."""
    length = min(len(a), len(b))
    both = ~(np.isnan(a[:length]) | np.isnan(b[:length]))
    x, y = (contour[:length][both] for contour in (a, b))
    if len(x) < 2:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / norm if norm > 1e-9 else 0.0


def find_syllables(audio: Audio) -> list[int]:
    """Return the frames of the syllables' nuclei: voiced peaks of the intensity between dips of 2 dB or more."""
    samples = audio.samples[0].numpy().astype(np.float64)
    window = np.hanning(round(_WINDOW_S * audio.sample_rate_hz) + 2)[1:-1]
    frames = cut_frames(samples - samples.mean(), audio.sample_rate_hz, _WINDOW_S)
    level = 10 * np.log10((frames**2) @ window[: frames.shape[1]] / window.sum() + 1e-12)
    voiced, floor = ~np.isnan(track_pitch(audio)), level.max() - _BELOW_MAXIMUM_DB
    return [frame for frame in _find_peaks(level) if voiced[frame] and level[frame] >= floor]


def _find_peaks(level: Array) -> list[int]:
    """Return the places of maxima of dB values, each between dips at least `_DIP_DB` deep."""
    peaks, highest, lowest, rising = [], 0, 0, True
    for i in range(len(level)):
        highest = i if level[i] > level[highest] else highest
        lowest = i if level[i] < level[lowest] else lowest
        if rising and level[highest] - level[i] >= _DIP_DB:
            peaks.append(highest)
            lowest, rising = i, False
        elif not rising and level[i] - level[lowest] >= _DIP_DB:
            highest, rising = i, True
    return [*peaks, highest] if rising else peaks


def _measure_rate(audio: Audio) -> tuple[float, float]:
    spoken = _trim(audio)
    return float(len(find_syllables(spoken))), spoken.seconds


def _trim(audio: Audio) -> Audio:
    return trim_silence(audio, 0.0, 0.0)[0]


def _stretch(contour: Array, length: int) -> Array:
    """Return the contour with `length` frames, each the nearest one in time."""
    places = (np.arange(length) + 0.5) * len(contour) / length
    stretched: Array = contour[places.astype(np.int64)]
    return stretched
