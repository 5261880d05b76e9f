"""Worker program that decodes with PyAV for `areca.sound.pyav_client`; a crash of FFmpeg ends only this process.

It runs as a script and imports nothing from areca, so that it starts in a fraction of a second. It reads one JSON
request per line from standard input, and writes JSON lines to standard output. A line with ``samples`` is followed by
float32 ``[C, samples]``. The last line of an answer has ``decoded`` or ``error``.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

STALLED_S = 10.0
"""Maximum CPU seconds without a new sample."""
_MEMORY = 1 << 30  # bytes that the decoder may use in addition to the memory mapped at start
_BLOCK = 65_536  # samples of all channels in one message
_ESTIMATING = {
    "mp3",
    "aac",
    "ac3",
    "eac3",
    "amr",
    "amrnb",
    "amrwb",
    "g722",
    "gsm",
    "mpegts",
    "mpeg",
    "loas",
    "dts",
    "sbc",
}
"""Containers that state no length: FFmpeg estimates it from the size or the end of the file."""
_LOSSLESS = ("pcm", "flac", "alac", "wavpack", "tta", "ape")
_DTYPES = {
    name: np.dtype(kind)
    for name, kind in {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}.items()
}
"""NumPy dtype of each FFmpeg sample format; planar formats have a ``p`` after the name."""
_DELAYED = 4  # codec frames that encoders add before or after the audio
_ROUNDED_S = 0.002  # containers store times in milliseconds
Piece = tuple[np.ndarray[Any, Any], int]
"""Decoded samples, float32 ``[C, n]``, and their rate in Hz."""
Message = tuple[dict[str, Any], np.ndarray[Any, Any] | None]
"""A JSON line, and the samples that follow it, if any."""


def main() -> None:
    """Answer requests until standard input ends."""
    _exit_with_parent(os.getppid())
    _limit_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller handles Ctrl-C
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process even if FFmpeg never returns
    out = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)  # keeps library output out of the answers
    try:
        import av
    except ImportError as error:
        _send(out, {"error": str(error), "missing": True})
        return
    av.logging.set_level(None)
    for line in sys.stdin.buffer:
        try:
            for message, block in _answer(av, json.loads(line)):
                _send(out, message, block)
        except (av.FFmpegError, OSError, ValueError, MemoryError, OverflowError) as error:
            _send(out, {"error": f"not audio that can be decoded ({error or type(error).__name__})"})
        out.flush()  # the timer keeps running, but counts only CPU time


def _send(out: BinaryIO, message: dict[str, Any], block: np.ndarray[Any, Any] | None = None) -> None:
    out.write(json.dumps(message).encode() + b"\n")
    if block is not None:
        out.write(np.ascontiguousarray(block).data)


def _answer(av: Any, request: dict[str, Any]) -> Iterator[Message]:
    """Yield the answer to a request: the properties of the file, then the samples of the requested part.

    Without ``samples`` in the request, only the length is answered: the stated one, or else the decoded one.
    """
    signal.setitimer(signal.ITIMER_PROF, STALLED_S)
    # A playlist could make FFmpeg read other files of the user.
    isolated = {"io_open": SingleFileOpener(), "options": {"protocol_whitelist": "none"}}
    with av.open(request["path"], format=request["format"], metadata_errors="replace", **isolated) as container:
        if not container.streams.audio:
            yield {"error": "contains no audio"}, None
            return
        stream = container.streams.audio[0]
        position = Position(container)
        pieces = _decode_pieces(container, stream, position)
        first = next(pieces, None)
        if first is None:
            yield {"error": "contains no samples"}, None
            return
        channels, rate = len(first[0]), first[1]
        stated = _stated_s(container, stream)
        yield {"rate": rate, "channels": channels, "stated_s": stated, "slack_s": _slack_s(stream, rate)}, None
        if not request["samples"] and stated is not None:
            yield {"decoded": round(stated * rate), "reached_s": stated, "over": False}, None
            return
        yield from _group_pieces(first, pieces, position, request)


def _group_pieces(
    first: Piece, pieces: Iterator[Piece], position: Position, request: dict[str, Any]
) -> Iterator[Message]:
    """Yield blocks of samples, then the number of decoded samples and the position where the file ended."""
    channels, rate = len(first[0]), first[1]
    start = round(request["offset_s"] * rate)
    stop = None if request["duration_s"] is None else start + round(request["duration_s"] * rate)
    decoded = pending = sent = marks = 0
    block: list[np.ndarray[Any, Any]] = []
    for samples, _ in itertools.chain([first], pieces):
        part = samples[:, max(0, start - decoded) : None if stop is None else max(0, stop - decoded)]
        decoded += samples.shape[1]
        if (decoded * channels) // _BLOCK > marks:  # setting a timer is slow, so it is not set for each piece
            marks = (decoded * channels) // _BLOCK
            signal.setitimer(signal.ITIMER_PROF, STALLED_S)
        if request["samples"] and part.shape[1]:
            block.append(part)
            pending, sent = pending + part.shape[1], sent + part.size
        if pending * channels >= _BLOCK:
            yield {"samples": pending}, np.concatenate(block, axis=1)
            block, pending = [], 0
        if sent > request["most"] or (stop is not None and decoded >= stop):
            break
    if pending:
        yield {"samples": pending}, np.concatenate(block, axis=1)
    yield {"decoded": decoded, "reached_s": position.seconds, "over": sent > request["most"]}, None


class SingleFileOpener:
    """Opens the first file that FFmpeg requests, and rejects all others."""

    def __init__(self) -> None:
        self._opened = False

    def __call__(self, path: str, flags: int, options: dict[str, str]) -> BinaryIO:
        """Open `path`."""
        if self._opened:
            raise ValueError(f"the file refers to another file: {path}")
        self._opened = True
        return open(path, "rb", buffering=0)


class Position:
    """End of the latest packet read, video included, in seconds from the start of the file."""

    def __init__(self, container: Any) -> None:
        self._begin_s = (container.start_time or 0) / 1e6
        self._units_s = {s.index: float(s.time_base) for s in container.streams if s.time_base}
        self.seconds = 0.0

    def add(self, packet: Any) -> None:
        """Advance to the end of a packet."""
        unit_s = self._units_s.get(packet.stream_index)
        if packet.pts is not None and unit_s is not None:
            self.seconds = max(self.seconds, (packet.pts + (packet.duration or 0)) * unit_s - self._begin_s)


def _decode_pieces(container: Any, stream: Any, position: Position) -> Iterator[Piece]:
    form: tuple[int, int] | None = None
    for packet in container.demux():
        position.add(packet)
        if packet.stream_index != stream.index:
            continue
        for frame in packet.decode():
            samples, rate = _scale(frame), frame.sample_rate
            if not rate:
                raise ValueError("the file states no sample rate")
            form = form or (len(samples), rate)
            if form != (len(samples), rate):
                raise ValueError("the sample rate or the number of channels changes within the file")
            yield samples, rate


def _scale(frame: Any) -> np.ndarray[Any, Any]:
    """Return the samples of a frame, float32 ``[C, n]``; integers are scaled by powers of two, as in FFmpeg."""
    count, channels, kind = frame.samples, frame.layout.nb_channels, _DTYPES[frame.format.name.removesuffix("p")]
    if frame.format.is_planar:
        planes = [np.frombuffer(plane, kind, count) for plane in frame.planes]
        samples = planes[0][None] if channels == 1 else np.stack(planes)
    else:
        samples = np.frombuffer(frame.planes[0], kind, count * channels).reshape(count, channels).T
    if kind == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    floats = samples.astype(np.float32, copy=False)
    return floats * np.float32(0.5 ** (8 * kind.itemsize - 1)) if kind.kind == "i" else floats


def _stated_s(container: Any, stream: Any) -> float | None:
    """Return the length that the container states, in seconds; None if it states none."""
    names = set(container.format.name.split(","))
    if names & _ESTIMATING:
        return None
    if "matroska" not in names and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration and container.duration > 0 else None


def _slack_s(stream: Any, rate: int) -> float:
    """Return the tolerance of the stated length, in seconds: a few frames of a lossy codec, or one, and rounding."""
    frame = stream.codec_context.frame_size
    lossless = stream.codec_context.name.startswith(_LOSSLESS)
    return _ROUNDED_S + min(0.5, (frame if lossless else _DELAYED * (frame or 1024)) / rate)


def _limit_memory() -> None:
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/statm") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + _MEMORY, resource.RLIM_INFINITY))


def _exit_with_parent(parent: int) -> None:
    """Exit when the caller exits, even if a fork of it still holds the other end of standard input."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
