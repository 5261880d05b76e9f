"""Decode audio files with soundfile or PyAV, and check that the stated, requested and decoded lengths agree."""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from areca.errors import InvalidAudio
from areca.sound import containers, pyav_client

LONGEST_S = 600.0
"""Maximum duration of one utterance, in seconds."""
MOST_SAMPLES = int(LONGEST_S) * 48_000 * 2
"""Maximum number of samples, over all channels, to decode at once: `LONGEST_S` of stereo at 48 kHz."""
ROUNDED_S = 0.01
"""Tolerance in seconds for parts that end after the end of a file: manifests round offsets and durations."""
_RAW = {".g722": "g722", ".gsm": "gsm"}  # headerless formats, identified by the suffix
_BLOCK = 65_536  # samples of all channels that soundfile decodes at once
_UNKNOWN = 1 << 40  # libsndfile reports more frames than this if the header states no length
_MPEG_FRAMES = 4 * 1152  # samples by which the encoder and decoder of a lossy format may disagree about the length
_CUT = re.compile(
    r"^\s*(?:data|SSND|BODY|Data Size|Data length)\s*:? (\d+)\s+\(?should be (\d+)|"
    r"^riff : (\d+) \(should be (\d+)\)$",  # W64
    re.MULTILINE,
)
_NOTED = re.compile(r"truncated|lacks an end-of-stream bit|Junk after the last page", re.IGNORECASE)
_FRAMES = re.compile(r"^\s*(?:Frames\s*:|sample_count -i) (\d+)$", re.MULTILINE)
_COUNTING = ("AVR", "MPC2K", "RF64", "NIST")
"""Formats whose stated number of frames libsndfile silently replaces by the number in the file."""

Samples = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Part:
    """The requested part of a file, in seconds; `duration_s` None: to the end."""

    offset_s: float = 0.0
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of decoding.

    Args:
        samples: float32 ``[C, T]``; None if only the length was requested.
        sample_rate_hz: samples per second.
        channels: number of channels.
        stated_s: length that the file states, in seconds; None if it states none, or only an estimate.
        end_s: position at which decoding ended, in seconds from the start of the file.
        slack_s: permitted difference between `stated_s` and `end_s` for the codec, in seconds.
    """

    samples: Samples | None
    sample_rate_hz: int
    channels: int
    stated_s: float | None
    end_s: float
    slack_s: float = 0.0


_MOVIE = re.compile(rb"....ftyp|\x1aE\xdf\xa3", re.DOTALL)
"""First bytes of MP4 and related formats, Matroska and WebM."""


def decode(path: Path, part: Part | None) -> Reading:
    """Decode a file and compare the result with the length that the file states.

    Args:
        path: the file.
        part: the part to decode; None: determine only the length.

    Raises:
        InvalidAudio: the file is not audio, is damaged, is shorter or longer than stated, has more than `MOST_SAMPLES`
            samples, or does not contain `part`.
        MissingDependency: the format needs PyAV, which is not installed.
    """
    reading = _decode(path, part)
    if part is not None:
        _check_lengths(path, reading, part)
    return reading


def refuse_large(path: Path, samples: float, sample_rate_hz: int, channels: int) -> None:
    """Reject recordings that are too large to decode at once.

    Args:
        path: the file, for the message.
        samples: samples per channel.
        sample_rate_hz: samples per second, for the message.
        channels: number of channels.

    Raises:
        InvalidAudio: the recording has more than `MOST_SAMPLES` samples over all channels.
    """
    if samples * channels > MOST_SAMPLES:
        raise InvalidAudio(
            f"{path}: more than {MOST_SAMPLES} samples to decode at once ({LONGEST_S:g} s of stereo at 48 kHz): it has "
            f"{channels} channel(s) at {sample_rate_hz} Hz; resample it, mix it down, or cut it into pieces"
        )


def _decode(path: Path, part: Part | None) -> Reading:
    raw, start = _RAW.get(path.suffix.lower()), containers.read_start(path)
    if raw is None and not _MOVIE.match(start):  # libsndfile supports none of these and takes time to find out
        reading = _decode_soundfile(path, start, part)
        if reading is not None:
            return reading
        containers.refuse_truncated(path, start)
    if kind := containers.identify_content(start, text=raw is None):
        raise InvalidAudio(f"{path}: not audio that can be decoded: the file is {kind}")
    return _decode_pyav(path, part, raw)


def _check_lengths(path: Path, reading: Reading, part: Part) -> None:
    """Compare the stated, requested and decoded lengths."""
    stated_s, end_s = reading.stated_s, reading.end_s
    rounding_s = 0.5 / reading.sample_rate_hz
    if stated_s is not None and end_s > stated_s + reading.slack_s + rounding_s:
        raise InvalidAudio(f"{path}: damaged, its header declares {stated_s:.2f} s, but more follow")
    length = 0 if reading.samples is None else reading.samples.shape[1]
    missing_s = 0.0 if part.duration_s is None else part.duration_s - length / reading.sample_rate_hz
    whole = part.duration_s is None
    truncated = stated_s is not None and end_s < stated_s - reading.slack_s - rounding_s
    if truncated and (whole or missing_s > reading.slack_s + rounding_s):
        raise InvalidAudio(f"{path}: truncated, its header declares {stated_s:.2f} s, got {end_s:.2f} s")
    if length == 0:
        raise InvalidAudio(f"{path}: expected samples from {part.offset_s:g} s on, got none")
    if missing_s > max(ROUNDED_S, reading.slack_s) + rounding_s:
        raise InvalidAudio(
            f"{path}: expected {part.duration_s:g} s from {part.offset_s:g} s on, "
            f"got {length / reading.sample_rate_hz:.2f} s"
        )


def _decode_soundfile(path: Path, start: bytes, part: Part | None) -> Reading | None:
    """Decode with libsndfile; None if it does not know the format, or cannot determine where the audio ends."""
    stated = containers.mpeg_states_length(path, start) is True
    try:
        with soundfile.SoundFile(_open_source(path, start)) as file:
            return _read_soundfile(path, file, part, stated=stated)
    except soundfile.LibsndfileError as error:
        reason = error.error_string
        if "ormat not recogni" in reason or "unknown format" in reason or containers.identify_content(start):
            return None
        raise InvalidAudio(f"{path}: truncated or damaged ({reason})") from error


def _open_source(path: Path, start: bytes) -> int | io.BytesIO:
    """Open a file for libsndfile; a WAV that declares no samples becomes a copy in memory that declares them."""
    if (found := containers.find_undeclared_samples(path, start)) is None:
        return os.open(path, os.O_RDONLY)  # a descriptor, because soundfile treats any x.raw as headerless samples
    if found.remaining > 8 * MOST_SAMPLES:
        raise InvalidAudio(
            f"{path}: its header declares no samples, but {found.remaining} bytes follow: too many to read"
        )
    content = bytearray(path.read_bytes())
    content[found.size_at : found.size_at + 4] = found.remaining.to_bytes(4, "little")
    return io.BytesIO(content)


def _read_soundfile(path: Path, file: Any, part: Part | None, *, stated: bool) -> Reading | None:
    rate, channels, frames = file.samplerate, file.channels, file.frames
    _check_log(path, file)
    estimated = file.format == "MP3" and not stated
    known = frames < _UNKNOWN and not estimated
    if part is None and known:
        return Reading(None, rate, channels, frames / rate, frames / rate)
    start, stop = _span(part or Part(), rate, frames)
    if part is not None and (known or part.duration_s is not None):
        refuse_large(path, stop - start, rate, channels)
    if start:
        file.seek(start)
    samples, count = _read_blocks(path, file, stop - start, keep=part is not None)
    if estimated and start + count >= frames:
        return None  # libsndfile stops at its estimate of the length, but the file may be longer
    lossy = file.format in ("MP3", "OGG") or file.subtype in ("MPEG_LAYER_III", "VORBIS", "OPUS")
    slack_s = _MPEG_FRAMES / rate if lossy else 0.0
    return Reading(samples, rate, channels, frames / rate if known else None, (start + count) / rate, slack_s)


def _span(part: Part, rate: int, frames: int) -> tuple[int, int]:
    start = min(round(part.offset_s * rate), frames)
    return start, frames if part.duration_s is None else min(frames, start + round(part.duration_s * rate))


def _read_blocks(path: Path, file: Any, most: int, *, keep: bool) -> tuple[Samples | None, int]:
    """Decode up to `most` frames; return float32 ``[C, T]`` (None unless `keep`) and the number of frames."""
    size, count = max(1, _BLOCK // file.channels), 0
    blocks: list[Samples] = []
    while count < most and file.tell() < file.frames:  # a seek may move beyond the end of a damaged MP3
        block = file.read(min(size, most - count), dtype="float32", always_2d=True)
        if not len(block):
            break
        count += len(block)
        if keep:
            refuse_large(path, count, file.samplerate, file.channels)
            blocks.append(block)
    return join_blocks([block.T for block in blocks], file.channels) if keep else None, count


def join_blocks(blocks: list[Samples], channels: int) -> Samples:
    """Concatenate blocks ``[C, n]`` along time; each block is freed once copied, so that memory holds samples once."""
    if len(blocks) == 1:
        return np.ascontiguousarray(blocks[0])
    whole = np.empty((channels, sum(block.shape[1] for block in blocks)), np.float32)
    at = 0
    blocks.reverse()
    while blocks:
        block = blocks.pop()
        whole[:, at : at + block.shape[1]] = block
        at += block.shape[1]
    return whole


def _check_log(path: Path, file: Any) -> None:
    """Reject truncated files that libsndfile reports only in its log."""
    log = file.extra_info
    for match in _CUT.finditer(log):
        declared, found = (int(n) for n in match.groups() if n is not None)
        if found < declared < containers.STREAMED_BYTES:
            raise InvalidAudio(f"{path}: truncated, its header declares {declared} bytes, got {found}")
    if file.format in ("OGG", "VOC", "MAT4") and (noted := _NOTED.search(log)):
        reason = "it ends early" if "runcated" in noted[0] else "the Ogg stream has no end"
        raise InvalidAudio(f"{path}: truncated, {reason}")
    if file.format in _COUNTING:
        stated = _FRAMES.search(log if file.format != "NIST" else path.open("rb").read(1024).decode("latin-1"))
        if stated and int(stated[1]) > file.frames:
            raise InvalidAudio(f"{path}: truncated, its header declares {stated[1]} samples, got {file.frames}")


def _decode_pyav(path: Path, part: Part | None, raw: str | None) -> Reading:
    requested = part or Part()
    answer = pyav_client.decode(
        path,
        {
            "path": os.path.abspath(path),  # the worker keeps the working directory in which it was started
            "format": raw,
            "offset_s": requested.offset_s,
            "duration_s": requested.duration_s,
            "samples": part is not None,
            "most": MOST_SAMPLES,
        },
    )
    if answer.over:
        refuse_large(path, float("inf"), answer.sample_rate_hz, answer.channels)
    rate, channels = answer.sample_rate_hz, answer.channels
    end_s = answer.decoded / rate
    if answer.stated_s is not None and end_s < answer.stated_s:  # the video may be longer than the audio
        end_s = max(end_s, min(answer.reached_s, answer.stated_s))
    samples = join_blocks(answer.blocks, channels) if part is not None else None
    return Reading(samples, rate, channels, answer.stated_s, end_s, answer.slack_s)
