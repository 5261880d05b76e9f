"""What core checks in each recording before a component is given it: whether there is something to hear, and where."""

from __future__ import annotations

import warnings

import torch

from areca.errors import ArecaWarning, InvalidAudio
from areca.types import Audio

LOUDEST = 8.0
"""Largest sample that is taken for sound in [-1, 1] with some clipping undone; beyond it are integers."""
QUIETEST = 2.0**-15
"""Largest swing that is taken for silence: one step of 16-bit audio."""
SHORTEST_S = 0.02
"""Seconds below which nothing can be heard, whatever the component."""
_CANCELLED = 0.01  # of the energy that channels without a common sound would keep: 20 dB below
_FRAME_S = 0.01
_FLOOR_DB = -40.0  # of the loudest frame: below it nobody speaks
_SILENT_RMS = 1e-4


def require_level(audio: Audio) -> Audio:
    """Return the audio.

    Raises:
        InvalidAudio: its samples are far beyond [-1, 1], as integers are that were stored as floats.
    """
    peak = float(audio.samples.abs().max())
    if peak > LOUDEST:
        bits = next((bits for bits in (8, 16, 24, 32) if peak <= 2.0 ** (bits - 1)), 32)
        raise InvalidAudio(
            f"{audio.name}: a peak of {peak:.6g}, expected samples in [-1, 1]: {bits}-bit integers as floats? "
            f"divide them: soundfile.write('out.wav', samples / {2 ** (bits - 1)}, {audio.sample_rate_hz})"
        )
    return audio


def require_audible(audio: Audio, shortest_s: float = SHORTEST_S) -> Audio:
    """Return the audio.

    Args:
        audio: a recording.
        shortest_s: seconds that it must last, as a unit of the tokenizer does.

    Raises:
        InvalidAudio: it is shorter, silent, or its samples are far beyond [-1, 1].
    """
    require_level(audio)
    if audio.seconds < max(shortest_s, SHORTEST_S):
        raise InvalidAudio(
            f"{audio.name}: lasts {audio.seconds:.4g} s, expected {max(shortest_s, SHORTEST_S):g} s or more"
        )
    values = audio.samples.numpy()
    swing = float((values.max(axis=1) - values.min(axis=1)).max()) / 2  # a constant is silence, too
    if swing <= QUIETEST:
        raise InvalidAudio(f"{audio.name}: is silent, its samples swing by {swing:.2g}: there is nothing to hear")
    return audio


def mixed(audio: Audio) -> torch.Tensor:
    """Return the mean of the channels, float32 ``[1, T]``; where they cancel each other, the loudest, and warn."""
    mean = audio.samples.mean(dim=0, keepdim=True)
    energies = audio.samples.square().mean(dim=1)
    kept, expected = float(mean.square().mean()), float(energies.sum()) / audio.channels**2
    if kept >= _CANCELLED * expected:
        return mean
    loudest = int(energies.argmax())
    warnings.warn(
        f"{audio.name}: its {audio.channels} channels cancel each other when mixed; channel {loudest + 1} is used",
        ArecaWarning,
        stacklevel=4,
    )
    return audio.samples[loudest : loudest + 1]


def trim_silence(audio: Audio, longest_s: float, keep_s: float) -> tuple[Audio, float, float]:
    """Shorten silence before and behind the sound to `keep_s` where it lasts longer than `longest_s`.

    Silent are frames of 10 ms whose energy is 40 dB below the loudest one's, or below -80 dB of full scale.

    Returns:
        The audio, itself where nothing is cut off, and the seconds that were cut off before and behind.
    """
    size = max(1, round(_FRAME_S * audio.sample_rate_hz))
    length = audio.samples.shape[1]
    padded = torch.nn.functional.pad(audio.samples, (0, -length % size))
    energies = padded.reshape(audio.channels, -1, size).square().mean(dim=2).amax(dim=0)
    floor = max(float(energies.max()) * 10 ** (_FLOOR_DB / 10), _SILENT_RMS**2)
    heard = torch.nonzero(energies > floor)[:, 0]
    if len(heard) == 0:
        return audio, 0.0, 0.0
    before, behind = int(heard[0]) * size, max(0, length - (int(heard[-1]) + 1) * size)
    longest, keep = (round(seconds * audio.sample_rate_hz) for seconds in (longest_s, keep_s))
    start, stop = (silence - keep if silence > longest else 0 for silence in (before, behind))
    if not (start or stop):
        return audio, 0.0, 0.0
    kept = Audio(audio.samples[:, start : length - stop].contiguous(), audio.sample_rate_hz, audio.name)
    return kept, start / audio.sample_rate_hz, stop / audio.sample_rate_hz
