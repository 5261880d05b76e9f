"""Check recordings before components receive them: level, duration and silence."""

from __future__ import annotations

import warnings

import torch

from areca.errors import ArecaWarning, InvalidAudio
from areca.types import Audio

LOUDEST = 8.0
"""Largest accepted peak. Declipped audio may exceed 1; a larger peak indicates integers stored as floats."""
QUIETEST = 2.0**-15
"""Largest amplitude that counts as silence: one step of 16-bit audio."""
SHORTEST_S = 0.02
"""Minimum duration in seconds for all components; nothing shorter is audible."""
SHORTEST_VOICE_S = 0.3
"""Minimum duration of the sound in a voice prompt, in seconds."""
_VOICE_EDGE_S = 0.1  # silence that is kept at the ends of a voice prompt
_CANCELLED = 0.01  # share of the energy that unrelated channels would keep when mixed: -20 dB
_FRAME_S = 0.01
_FLOOR_DB = -40.0  # relative to the loudest frame; speech is louder
_SILENT_RMS = 1e-4


def require_level(audio: Audio) -> Audio:
    """Check that samples are not far beyond [-1, 1], like integers stored as floats.

    Returns:
        `audio`.

    Raises:
        InvalidAudio: the peak is above `LOUDEST`.
    """
    peak = float(audio.samples.abs().max())
    if peak > LOUDEST:
        bits = next((bits for bits in (8, 16, 24, 32) if peak <= 2.0 ** (bits - 1)), 32)
        raise InvalidAudio(
            f"{audio.name}: expected samples in [-1, 1], got a peak of {peak:.6g}: {bits}-bit integers stored as "
            f"floats? divide them: soundfile.write('out.wav', samples / {2 ** (bits - 1)}, {audio.sample_rate_hz})"
        )
    return audio


def require_audible(audio: Audio, shortest_s: float = SHORTEST_S) -> Audio:
    """Check that a recording is long enough, not silent, and not far beyond [-1, 1].

    Args:
        audio: a recording.
        shortest_s: minimum duration in seconds, for example one frame of the tokenizer; at least `SHORTEST_S` applies.

    Returns:
        `audio`.

    Raises:
        InvalidAudio: the recording is too short or silent, or its peak is above `LOUDEST`.
    """
    require_level(audio)
    if audio.seconds < max(shortest_s, SHORTEST_S):
        raise InvalidAudio(
            f"{audio.name}: lasts {audio.seconds:.4g} s, expected {max(shortest_s, SHORTEST_S):g} s or more"
        )
    values = audio.samples.numpy()
    amplitude = float((values.max(axis=1) - values.min(axis=1)).max()) / 2  # 0 for a constant offset, which is silent
    if amplitude <= QUIETEST:
        raise InvalidAudio(
            f"{audio.name}: is silent (amplitude {amplitude:.2g}), expected an amplitude above {QUIETEST:.2g}"
        )
    return audio


def mix_down(audio: Audio) -> torch.Tensor:
    """Return the mean of the channels, float32 ``[1, T]``.

    If the channels cancel each other, return the loudest one and issue an `ArecaWarning`.
    """
    mean = audio.samples.mean(dim=0, keepdim=True)
    energies = audio.samples.square().mean(dim=1)
    energy, expected = float(mean.square().mean()), float(energies.sum()) / audio.channels**2
    if energy >= _CANCELLED * expected:
        return mean
    loudest = int(energies.argmax())
    warnings.warn(
        f"{audio.name}: the {audio.channels} channels cancel each other when mixed; only channel {loudest + 1} is used",
        ArecaWarning,
        stacklevel=4,
    )
    return audio.samples[loudest : loudest + 1]


def trim_silence(audio: Audio, longest_s: float, keep_s: float) -> tuple[Audio, float, float]:
    """Shorten silence at the start and the end of a recording.

    A frame of 10 ms is silent if its energy is 40 dB below that of the loudest frame, or below -80 dB of full scale.

    Args:
        audio: the recording.
        longest_s: silence up to this duration, in seconds, is kept.
        keep_s: longer silence is shortened to this duration, in seconds.

    Returns:
        the audio (`audio` itself if nothing is removed), and the seconds removed at the start and at the end.
    """
    size = max(1, round(_FRAME_S * audio.sample_rate_hz))
    length = audio.samples.shape[1]
    padded = torch.nn.functional.pad(audio.samples, (0, -length % size))
    energies = padded.reshape(audio.channels, -1, size).square().mean(dim=2).amax(dim=0)
    floor = max(float(energies.max()) * 10 ** (_FLOOR_DB / 10), _SILENT_RMS**2)
    heard = torch.nonzero(energies > floor)[:, 0]
    if len(heard) == 0:
        return audio, 0.0, 0.0
    before, after = int(heard[0]) * size, max(0, length - (int(heard[-1]) + 1) * size)
    longest, keep = (round(seconds * audio.sample_rate_hz) for seconds in (longest_s, keep_s))
    start, stop = (silence - keep if silence > longest else 0 for silence in (before, after))
    if not (start or stop):
        return audio, 0.0, 0.0
    trimmed = Audio(audio.samples[:, start : length - stop].contiguous(), audio.sample_rate_hz, audio.name)
    return trimmed, start / audio.sample_rate_hz, stop / audio.sample_rate_hz


def prepare_voice(audio: Audio, longest_s: float) -> Audio:
    """Return what is used of a voice prompt: its beginning, without long silence at its ends.

    Args:
        audio: the recording, of any rate and number of channels.
        longest_s: maximum duration of the result in seconds.

    Raises:
        InvalidAudio: the recording is silent, or has less than `SHORTEST_VOICE_S` seconds of sound. The message names
            it.
    """
    heard, _, _ = trim_silence(require_audible(audio), _VOICE_EDGE_S, _VOICE_EDGE_S)
    if heard.seconds < SHORTEST_VOICE_S:
        raise InvalidAudio(
            f"{audio.name}: has {heard.seconds:.2g} s of sound, expected {SHORTEST_VOICE_S:g} s or more in a voice "
            "prompt: name another recording (voice=, --voice), or 'none' for the vocoder's own voice"
        )
    length = max(1, round(longest_s * heard.sample_rate_hz))
    return Audio(heard.samples[:, :length].contiguous(), heard.sample_rate_hz, audio.name)
