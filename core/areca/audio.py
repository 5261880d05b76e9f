"""Audio in and out: any file, rate and channel count in; 16-bit files out; one resampler."""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch

from areca.errors import InvalidAudio
from areca.files.writing import replacing
from areca.sound.decoding import LONGEST_S, MOST_SAMPLES, Part, decode, refuse_large
from areca.sound.hearing import mixed, require_level
from areca.sound.resampling import resampled, resampled_length
from areca.types import Audio

__all__ = [
    "LONGEST_S", "MOST_SAMPLES", "Header", "conform", "header", "read", "require_file", "require_short",
    "require_writable", "write",
]  # fmt: skip
_SUBTYPES = {".wav": "PCM_16", ".flac": "PCM_16"}


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself before it is decoded.

    Args:
        seconds: length.
        sample_rate_hz: samples per second.
        channels: number of channels.
    """

    seconds: float
    sample_rate_hz: int
    channels: int


def read(path: str | Path, *, offset_s: float = 0.0, duration_s: float | None = None) -> Audio:
    """Decode a file, or the part of it from `offset_s` (seconds) on that lasts `duration_s` (None: to the end).

    WAV, FLAC, OGG, Opus, MP3, AIFF and the like are read by soundfile; G.722, GSM, M4A, WebM and what else it does
    not know by PyAV, in a process of its own.

    Returns:
        float32 ``[C, T]`` at the file's own rate; its name is the path.

    Raises:
        InvalidAudio: missing, empty, damaged or undecodable file, one whose length is not what it states or what is
            asked for, more than `MOST_SAMPLES`, NaN in it, samples beyond any sound, or nothing at that offset.
        MissingDependency: PyAV is needed and not installed.
    """
    path = require_file(path)
    reading = decode(path, Part(offset_s, duration_s))
    assert reading.samples is not None
    return require_level(Audio(torch.from_numpy(reading.samples), reading.sample_rate_hz, name=str(path)))


def header(path: str | Path) -> Header:
    """Find length, rate and channels, without decoding more than a moment where the file states them.

    Raises:
        InvalidAudio: missing, empty or unknown file, or one that is shorter than its header says.
        MissingDependency: PyAV is needed and not installed.
    """
    path = require_file(path)
    reading = decode(path, None)
    seconds = reading.end_s if reading.stated_s is None else reading.stated_s
    if not seconds > 0:
        raise InvalidAudio(f"{path}: holds no samples")
    return Header(seconds, reading.sample_rate_hz, reading.channels)


def require_short(path: str | Path, found: Header) -> None:
    """Check that a recording can be read as one utterance.

    Raises:
        InvalidAudio: it lasts more than `LONGEST_S`, or holds more than `MOST_SAMPLES`.
    """
    if found.seconds > LONGEST_S:
        raise InvalidAudio(f"{path}: {found.seconds:.0f} s long, more than {LONGEST_S:g} s: cut it into pieces")
    refuse_large(Path(path), found.seconds * found.sample_rate_hz, found.sample_rate_hz, found.channels)


def write(path: str | Path, audio: Audio) -> None:
    """Write 16-bit WAV or FLAC, by suffix; samples beyond [-1, 1] are clipped. Appears whole or not at all.

    Raises:
        InvalidAudio: another suffix.
        StorageError: the disk refuses.
    """
    path = Path(path)
    require_writable(path)
    # x 32768 and not 32767, so that 16-bit audio survives reading and writing bit for bit.
    samples = (audio.samples.T * 32768.0).round().clamp(-32768, 32767).to(torch.int16).numpy()
    suffix = path.suffix.lower()
    content = io.BytesIO()  # libsndfile says of a full disk no more than "System error"
    try:
        soundfile.write(content, samples, audio.sample_rate_hz, subtype=_SUBTYPES[suffix], format=suffix[1:])
    except soundfile.LibsndfileError as error:
        raise InvalidAudio(f"{path}: cannot be written ({error.error_string})") from error
    with replacing(path, wait=False) as draft:
        draft.write_bytes(content.getbuffer())


def require_writable(path: Path) -> None:
    """Check that `write` knows the suffix.

    Raises:
        InvalidAudio: it does not.
    """
    if path.suffix.lower() not in _SUBTYPES:
        raise InvalidAudio(f"{path}: cannot write {path.suffix or 'a file without a suffix'}; use .wav or .flac")


def conform(audio: Audio, sample_rate_hz: int, channels: int) -> Audio:
    """Bring audio to a rate (band-limited sinc of torchaudio) and a channel count (mean, or mono repeated).

    Where channels cancel each other, the loudest is used instead of the mean, with a warning.

    Raises:
        InvalidAudio: several channels cannot become another number above one, or the rate makes too many samples.
    """
    samples = audio.samples
    if audio.channels != channels:
        if channels == 1:
            samples = mixed(audio)
        elif audio.channels == 1:
            samples = samples.expand(channels, -1)
        else:
            raise InvalidAudio(f"{audio.name}: {audio.channels} channels cannot become {channels}; give mono audio")
    if audio.sample_rate_hz != sample_rate_hz:
        length = resampled_length(samples.shape[1], audio.sample_rate_hz, sample_rate_hz)
        if length * channels > max(MOST_SAMPLES, audio.samples.numel() * 4):
            raise InvalidAudio(
                f"{audio.name}: {audio.seconds:.0f} s at {audio.sample_rate_hz} Hz are {length * channels} samples at "
                f"{sample_rate_hz} Hz, more than {MOST_SAMPLES}: cut it into pieces"
            )
        samples = resampled(samples, audio.sample_rate_hz, sample_rate_hz)
    if samples is audio.samples:
        return audio
    return Audio(samples.contiguous(), sample_rate_hz, name=audio.name)


def require_file(path: str | Path) -> Path:
    """Return `path` if a file is there that is not empty.

    Raises:
        InvalidAudio: there is none.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise InvalidAudio(f"{path}: no such file ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise InvalidAudio(f"{path}: expected a file, not a folder or device")
    if status.st_size == 0:
        raise InvalidAudio(f"{path}: the file is empty")
    return Path(path)
