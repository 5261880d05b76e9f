"""The decoders and the contract that both keep: what a file states, what was asked for and what came agree."""

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
from areca.sound import containers, fragile

LONGEST_S = 600.0
"""Seconds of audio that are read as one utterance."""
MOST_SAMPLES = int(LONGEST_S) * 48_000 * 2
"""Samples of all channels that are decoded at once: `LONGEST_S` of stereo at 48 kHz."""
ROUNDED_S = 0.01
"""Manifests round offsets and durations: this much beyond the end of a file is still its end."""
_RAW = {".g722": "g722", ".gsm": "gsm"}  # streams without a header: only the suffix says what they are
_BLOCK = 65_536  # samples of all channels that soundfile decodes at once
_UNKNOWN = 1 << 40  # frames: libsndfile states more than these where the header states none
_MPEG_FRAMES = 4 * 1152  # samples by which encoder and decoder of a lossy format may disagree about its length
_CUT = re.compile(
    r"^\s*(?:data|SSND|BODY|Data Size|Data length)\s*:? (\d+)\s+\(?should be (\d+)|"
    r"^riff : (\d+) \(should be (\d+)\)$",  # W64
    re.MULTILINE,
)
_NOTED = re.compile(r"truncated|lacks an end-of-stream bit|Junk after the last page", re.IGNORECASE)
_FRAMES = re.compile(r"^\s*(?:Frames\s*:|sample_count -i) (\d+)$", re.MULTILINE)
_COUNTING = ("AVR", "MPC2K", "RF64", "NIST")
"""Formats that state a number of frames which libsndfile sets to what is there, without a word."""

Samples = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a file that is asked for: from `offset_s` on, for `duration_s` (None: to the end)."""

    offset_s: float = 0.0
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What decoding gave.

    Args:
        samples: float32 ``[C, T]``; None where only the length was asked for.
        sample_rate_hz, channels: of the samples.
        stated_s: seconds that the file states; None where it states none, or only an estimate.
        end_s: where decoding ended, in seconds from the file's start.
        slack_s: how far the codec lets these two differ.
    """

    samples: Samples | None
    sample_rate_hz: int
    channels: int
    stated_s: float | None
    end_s: float
    slack_s: float = 0.0


_MOVIE = re.compile(rb"....ftyp|\x1aE\xdf\xa3", re.DOTALL)
"""How MP4 and its kin, Matroska and WebM begin."""


def decode(path: Path, part: Part | None) -> Reading:
    """Decode a file, or (None) only find its length, and hold the result against what the file states.

    Raises:
        InvalidAudio: a file that is not audio, is damaged, states another length than it has or holds more than
            `MOST_SAMPLES`, or a part of it that is not there.
        MissingDependency: PyAV is needed and not installed.
    """
    reading = _decode(path, part)
    if part is not None:
        _check(path, reading, part)
    return reading


def refuse_large(path: Path, samples: float, sample_rate_hz: int, channels: int) -> None:
    """Refuse more samples than are decoded at once.

    Raises:
        InvalidAudio: `samples` of each of the channels are more than `MOST_SAMPLES`.
    """
    if samples * channels > MOST_SAMPLES:
        raise InvalidAudio(
            f"{path}: more than {MOST_SAMPLES} samples to decode at once ({LONGEST_S:g} s of stereo at 48 kHz): it has "
            f"{channels} channel(s) at {sample_rate_hz} Hz; resample it, mix it down, or cut it into pieces"
        )


def _decode(path: Path, part: Part | None) -> Reading:
    raw, start = _RAW.get(path.suffix.lower()), containers.start_of(path)
    if raw is None and not _MOVIE.match(start):  # libsndfile would only take time to say that it knows none
        reading = _from_soundfile(path, start, part)
        if reading is not None:
            return reading
        containers.refuse_short(path, start)
    if kind := containers.what_is(start, text=raw is None):
        raise InvalidAudio(f"{path}: not audio that can be decoded: the file is {kind}")
    return _from_pyav(path, part, raw)


def _check(path: Path, reading: Reading, part: Part) -> None:
    """Compare the lengths stated, asked for and decoded."""
    stated_s, end_s = reading.stated_s, reading.end_s
    exact_s = 0.5 / reading.sample_rate_hz  # of rounding
    if stated_s is not None and end_s > stated_s + reading.slack_s + exact_s:
        raise InvalidAudio(f"{path}: its header declares {stated_s:.2f} s, and more is there: damaged")
    length = 0 if reading.samples is None else reading.samples.shape[1]
    missing_s = 0.0 if part.duration_s is None else part.duration_s - length / reading.sample_rate_hz
    whole = part.duration_s is None
    cut = stated_s is not None and end_s < stated_s - reading.slack_s - exact_s
    if cut and (whole or missing_s > reading.slack_s + exact_s):
        raise InvalidAudio(f"{path}: truncated: its header declares {stated_s:.2f} s, and {end_s:.2f} s are there")
    if length == 0:
        raise InvalidAudio(f"{path}: no samples from {part.offset_s:g} s on")
    if missing_s > max(ROUNDED_S, reading.slack_s) + exact_s:
        raise InvalidAudio(
            f"{path}: {part.duration_s:g} s are asked for from {part.offset_s:g} s on, "
            f"and {length / reading.sample_rate_hz:.2f} s are there"
        )


def _from_soundfile(path: Path, start: bytes, part: Part | None) -> Reading | None:
    """Return what libsndfile decodes; None if it does not know the format, or cannot tell where the sound ends."""
    stated = containers.mpeg_length(path, start) is True
    try:
        with soundfile.SoundFile(_source(path, start)) as file:
            return _read_soundfile(path, file, part, stated=stated)
    except soundfile.LibsndfileError as error:
        said = error.error_string
        if "ormat not recogni" in said or "unknown format" in said or containers.what_is(start):
            return None
        raise InvalidAudio(f"{path}: truncated or damaged ({said})") from error


def _source(path: Path, start: bytes) -> int | io.BytesIO:
    """Return what libsndfile is to open: the file, or a copy that states the size which the file leaves open."""
    if (found := containers.check_wave(path, start)) is None:
        return os.open(path, os.O_RDONLY)  # not by name: soundfile takes x.raw for samples without a header
    if found.behind > 8 * MOST_SAMPLES:
        raise InvalidAudio(f"{path}: its header declares no samples, and {found.behind} bytes follow: too many to read")
    content = bytearray(path.read_bytes())
    content[found.size_at : found.size_at + 4] = found.behind.to_bytes(4, "little")
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
    samples, count = _blocks(path, file, stop - start, keep=part is not None)
    if estimated and start + count >= frames:
        return None  # the estimate was reached, so there may be more: libsndfile does not go on
    lossy = file.format in ("MP3", "OGG") or file.subtype in ("MPEG_LAYER_III", "VORBIS", "OPUS")
    slack_s = _MPEG_FRAMES / rate if lossy else 0.0
    return Reading(samples, rate, channels, frames / rate if known else None, (start + count) / rate, slack_s)


def _span(part: Part, rate: int, frames: int) -> tuple[int, int]:
    start = min(round(part.offset_s * rate), frames)
    return start, frames if part.duration_s is None else min(frames, start + round(part.duration_s * rate))


def _blocks(path: Path, file: Any, most: int, *, keep: bool) -> tuple[Samples | None, int]:
    """Decode up to `most` frames and return them as float32 ``[C, T]`` if they are to be kept, and their number."""
    size, count = max(1, _BLOCK // file.channels), 0
    kept: list[Samples] = []
    while count < most and file.tell() < file.frames:  # a damaged MP3 may be beyond its own end after a seek
        block = file.read(min(size, most - count), dtype="float32", always_2d=True)
        if not len(block):
            break
        count += len(block)
        if keep:
            refuse_large(path, count, file.samplerate, file.channels)
            kept.append(block)
    return joined([block.T for block in kept], file.channels) if keep else None, count


def joined(blocks: list[Samples], channels: int) -> Samples:
    """Return blocks of ``[C, n]`` as one; each is freed as it is copied, so that memory holds the samples once."""
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
    """Refuse what libsndfile's log shows to be cut, which it does not report otherwise."""
    log = file.extra_info
    for match in _CUT.finditer(log):
        declared, there = (int(n) for n in match.groups() if n is not None)
        if there < declared < containers.STREAMED_BYTES:
            raise InvalidAudio(f"{path}: truncated, its header declares {declared} bytes and {there} are there")
    if file.format in ("OGG", "VOC", "MAT4") and (noted := _NOTED.search(log)):
        reason = "it ends early" if "runcated" in noted[0] else "the Ogg stream has no end"
        raise InvalidAudio(f"{path}: truncated, {reason}")
    if file.format in _COUNTING:
        stated = _FRAMES.search(log if file.format != "NIST" else path.open("rb").read(1024).decode("latin-1"))
        if stated and int(stated[1]) > file.frames:
            raise InvalidAudio(f"{path}: truncated, {stated[1]} samples declared and {file.frames} there")


def _from_pyav(path: Path, part: Part | None, raw: str | None) -> Reading:
    wanted = part or Part()
    answer = fragile.ask(
        path,
        {
            "path": os.path.abspath(path),  # the process has the working directory that was there when it started
            "format": raw,
            "offset_s": wanted.offset_s,
            "duration_s": wanted.duration_s,
            "samples": part is not None,
            "most": MOST_SAMPLES,
        },
    )
    if answer.over:
        refuse_large(path, float("inf"), answer.sample_rate_hz, answer.channels)
    rate, channels = answer.sample_rate_hz, answer.channels
    end_s = answer.decoded / rate
    if answer.stated_s is not None and end_s < answer.stated_s:  # pictures may last longer than the sound
        end_s = max(end_s, min(answer.reached_s, answer.stated_s))
    samples = joined(answer.blocks, channels) if part is not None else None
    return Reading(samples, rate, channels, answer.stated_s, end_s, answer.slack_s)
