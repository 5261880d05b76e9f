"""Read, write and resample audio: any format, sample rate and channel count in, 16-bit files out."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile
import torch

from areca.errors import InvalidAudio, MissingDependency
from areca.files.writing import replace_file
from areca.sound.decoding import LONGEST_S, MOST_SAMPLES, Part, decode, refuse_large
from areca.sound.hearing import mix_down, prepare_voice, require_level
from areca.sound.resampling import resample, resampled_length
from areca.sound.wav import to_pcm16
from areca.types import Audio

__all__ = [
    "LONGEST_S", "MOST_SAMPLES", "Header", "conform", "header", "prepare_voice", "read", "read_bytes", "require_file",
    "require_short", "require_writable", "write",
]  # fmt: skip
_SUBTYPES = {".wav": "PCM_16", ".flac": "PCM_16"}


@dataclass(frozen=True, slots=True)
class Header:
    """Properties of an audio file that are known before it is decoded.

    Args:
        seconds: duration in seconds.
        sample_rate_hz: samples per second.
        channels: number of channels.
    """

    seconds: float
    sample_rate_hz: int
    channels: int


def read(path: str | Path, *, offset_s: float = 0.0, duration_s: float | None = None) -> Audio:
    """Decode an audio file, or a part of it.

    soundfile decodes WAV, FLAC, OGG, Opus, MP3, AIFF and similar formats. PyAV decodes all others, like G.722, GSM,
    M4A and WebM, in a separate process.

    Args:
        path: the file.
        offset_s: start of the part, in seconds.
        duration_s: duration of the part, in seconds; None: to the end of the file.

    Returns:
        float32 ``[C, T]`` at the file's sample rate; the path is its name.

    Raises:
        InvalidAudio: the file is missing, empty, damaged or not decodable, is shorter or longer than it declares, does
            not contain the requested part, has more than `MOST_SAMPLES` samples, or contains NaN or samples far beyond
            [-1, 1].
        MissingDependency: the format needs PyAV, which is not installed.

    Example:
        >>> audio = conform(read("prompt.mp3", duration_s=3.0), 24_000, channels=1)
    """
    path = require_file(path)
    reading = decode(path, Part(offset_s, duration_s))
    assert reading.samples is not None
    return require_level(Audio(torch.from_numpy(reading.samples), reading.sample_rate_hz, name=str(path)))


def read_bytes(content: bytes, name: str, *, offset_s: float = 0.0, duration_s: float | None = None) -> Audio:
    """Decode the content of an audio file, for example a member of an archive. Results and errors are those of `read`.

    Args:
        content: bytes of the whole file.
        name: name of the audio and of the file in messages; its suffix identifies formats without a header.
        offset_s: start of the part, in seconds.
        duration_s: duration of the part, in seconds; None: to the end of the file.
    """
    with tempfile.TemporaryDirectory(prefix="areca-") as folder:
        path = Path(folder, "content").with_suffix(Path(name).suffix)
        path.write_bytes(content)
        try:
            audio = read(path, offset_s=offset_s, duration_s=duration_s)
        except (InvalidAudio, MissingDependency) as error:
            raise type(error)(str(error).replace(str(path), name)) from error
    return replace(audio, name=name)


def header(path: str | Path) -> Header:
    """Return the duration, sample rate and channels of an audio file.

    Decodes the whole file only if its header does not state its length.

    Raises:
        InvalidAudio: the file is missing, empty, of an unknown format, or shorter than its header declares.
        MissingDependency: the format needs PyAV, which is not installed.
    """
    path = require_file(path)
    reading = decode(path, None)
    seconds = reading.end_s if reading.stated_s is None else reading.stated_s
    if not seconds > 0:
        raise InvalidAudio(f"{path}: expected audio, got a file without samples")
    return Header(seconds, reading.sample_rate_hz, reading.channels)


def require_short(path: str | Path, found: Header) -> None:
    """Check that a recording is short enough to be read as one utterance.

    Args:
        path: the file, for the message.
        found: its header.

    Raises:
        InvalidAudio: it is longer than `LONGEST_S` seconds, or has more than `MOST_SAMPLES` samples.
    """
    if found.seconds > LONGEST_S:
        raise InvalidAudio(f"{path}: lasts {found.seconds:.0f} s, expected at most {LONGEST_S:g} s: cut it into pieces")
    refuse_large(Path(path), found.seconds * found.sample_rate_hz, found.sample_rate_hz, found.channels)


def write(path: str | Path, audio: Audio) -> None:
    """Write a 16-bit WAV or FLAC file atomically; samples beyond [-1, 1] are clipped.

    Args:
        path: the file; its suffix, ``.wav`` or ``.flac``, selects the format.
        audio: the recording.

    Raises:
        InvalidAudio: the suffix is not supported, or the format cannot store this audio.
        StorageError: the file cannot be written.

    Example:
        >>> write("answer.flac", audio)
    """
    path = Path(path)
    require_writable(path)
    samples = to_pcm16(audio)
    suffix = path.suffix.lower()
    content = io.BytesIO()  # encoded in memory, because libsndfile reports a full disk only as "System error"
    try:
        soundfile.write(content, samples, audio.sample_rate_hz, subtype=_SUBTYPES[suffix], format=suffix[1:])
    except soundfile.LibsndfileError as error:
        raise InvalidAudio(f"{path}: cannot be written ({error.error_string})") from error
    with replace_file(path, wait=False) as draft:
        draft.write_bytes(content.getbuffer())


def require_writable(path: Path) -> None:
    """Check that `write` supports the suffix of `path`.

    Raises:
        InvalidAudio: the suffix is not ``.wav`` or ``.flac``.
    """
    if path.suffix.lower() not in _SUBTYPES:
        raise InvalidAudio(f"{path}: cannot write {path.suffix or 'a file without a suffix'}; use .wav or .flac")


def conform(audio: Audio, sample_rate_hz: int, channels: int) -> Audio:
    """Convert audio to a sample rate and a number of channels.

    Resampling uses the band-limited sinc of torchaudio. Mixing down takes the mean of the channels; if the channels
    cancel each other, it takes the loudest one and issues an `ArecaWarning`. A mono recording is repeated for several
    channels.

    Args:
        audio: the recording.
        sample_rate_hz: target rate.
        channels: target number of channels.

    Returns:
        the converted audio, or `audio` itself if nothing changes.

    Raises:
        InvalidAudio: neither the source nor the target is mono and their channel counts differ, or the result has too
            many samples.

    Example:
        >>> mono = conform(audio, 16_000, channels=1)
    """
    samples = audio.samples
    if audio.channels != channels:
        if channels == 1:
            samples = mix_down(audio)
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
        samples = resample(samples, audio.sample_rate_hz, sample_rate_hz)
    if samples is audio.samples:
        return audio
    return Audio(samples.contiguous(), sample_rate_hz, name=audio.name)


def require_file(path: str | Path) -> Path:
    """Check that `path` is a regular file that is not empty.

    Returns:
        `path` as a `Path`.

    Raises:
        InvalidAudio: the file does not exist, is not a regular file, or is empty.
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
