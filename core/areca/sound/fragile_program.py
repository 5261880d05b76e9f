"""The program that decodes with PyAV for `areca.sound.fragile`: a file that crashes FFmpeg ends it, not the caller.

It is started as a file of its own and imports nothing of areca, so that it is ready in a fraction of a second. On
standard input it reads a request a line, as JSON; on standard output it answers with JSON lines, of which those with
``samples`` are followed by float32 ``[C, samples]``. The last line of an answer has ``decoded`` or ``error``.
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
"""Seconds of computing that may pass without a new sample."""
_MEMORY = 1 << 30  # bytes that the decoder may take beside what the program itself maps
_BLOCK = 65_536  # samples of all channels that are sent together
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
"""Containers that state no length: FFmpeg computes one from the file's size, or from what it finds at its end."""
_LOSSLESS = ("pcm", "flac", "alac", "wavpack", "tta", "ape")
_DTYPES = {
    name: np.dtype(kind)
    for name, kind in {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}.items()
}
"""Of FFmpeg's sample formats; the planar ones have a ``p`` behind their name."""
_DELAYED = 4  # codec frames that encoders put before or behind the sound
_ROUNDED_S = 0.002  # containers count in milliseconds
Piece = tuple[np.ndarray[Any, Any], int]
"""Decoded float32 ``[C, n]``, and its rate."""


def main() -> None:
    """Answer requests until standard input ends."""
    _die_with(os.getppid())
    _limit_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's to handle
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process even where FFmpeg never returns
    out = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    try:
        import av
    except ImportError as error:
        _say(out, {"error": str(error), "missing": True})
        return
    av.logging.set_level(None)
    for line in sys.stdin.buffer:
        try:
            for message, block in _answer(av, json.loads(line)):
                _say(out, message, block)
        except (av.FFmpegError, OSError, ValueError, MemoryError, OverflowError) as error:
            _say(out, {"error": f"not audio that can be decoded ({error or type(error).__name__})"})
        out.flush()  # the timer may stay: it counts only what is computed


def _say(out: BinaryIO, message: dict[str, Any], block: np.ndarray[Any, Any] | None = None) -> None:
    out.write(json.dumps(message).encode() + b"\n")
    if block is not None:
        out.write(np.ascontiguousarray(block).data)


def _answer(av: Any, ask: dict[str, Any]) -> Iterator[tuple[dict[str, Any], np.ndarray[Any, Any] | None]]:
    """Yield the answer to a request: what the file states, then the samples from ``offset_s`` on for ``duration_s``.

    Where ``samples`` is false only the length is told: the stated one, or else as many samples as there are.
    """
    signal.setitimer(signal.ITIMER_PROF, STALLED_S)
    # A playlist names other files, which are not the caller's to read: nothing is opened but the file itself.
    alone = {"io_open": Alone(), "options": {"protocol_whitelist": "none"}}
    with av.open(ask["path"], format=ask["format"], metadata_errors="replace", **alone) as container:
        if not container.streams.audio:
            yield {"error": "holds no audio"}, None
            return
        stream = container.streams.audio[0]
        reached = Reached(container)
        pieces = _pieces(container, stream, reached)
        first = next(pieces, None)
        if first is None:
            yield {"error": "holds no samples"}, None
            return
        channels, rate = len(first[0]), first[1]
        stated = _stated_s(container, stream)
        yield {"rate": rate, "channels": channels, "stated_s": stated, "slack_s": _slack_s(stream, rate)}, None
        if not ask["samples"] and stated is not None:
            yield {"decoded": round(stated * rate), "reached_s": stated, "over": False}, None
            return
        yield from _blocks(first, pieces, reached, ask)


def _blocks(
    first: Piece, pieces: Iterator[Piece], reached: Reached, ask: dict[str, Any]
) -> Iterator[tuple[dict[str, Any], np.ndarray[Any, Any] | None]]:
    """Yield blocks of samples, then how many were decoded and where in time the file ended."""
    channels, rate = len(first[0]), first[1]
    start = round(ask["offset_s"] * rate)
    stop = None if ask["duration_s"] is None else start + round(ask["duration_s"] * rate)
    decoded = held = sent = marks = 0
    kept: list[np.ndarray[Any, Any]] = []
    for samples, _ in itertools.chain([first], pieces):
        part = samples[:, max(0, start - decoded) : None if stop is None else max(0, stop - decoded)]
        decoded += samples.shape[1]
        if (decoded * channels) // _BLOCK > marks:  # setting a timer is a slow call, so not for each piece
            marks = (decoded * channels) // _BLOCK
            signal.setitimer(signal.ITIMER_PROF, STALLED_S)
        if ask["samples"] and part.shape[1]:
            kept.append(part)
            held, sent = held + part.shape[1], sent + part.size
        if held * channels >= _BLOCK:
            yield {"samples": held}, np.concatenate(kept, axis=1)
            kept, held = [], 0
        if sent > ask["most"] or (stop is not None and decoded >= stop):
            break
    if held:
        yield {"samples": held}, np.concatenate(kept, axis=1)
    yield {"decoded": decoded, "reached_s": reached.seconds, "over": sent > ask["most"]}, None


class Alone:
    """Opens the first file that FFmpeg asks for, and no other."""

    def __init__(self) -> None:
        self._opened = False

    def __call__(self, path: str, flags: int, options: dict[str, str]) -> BinaryIO:
        """Open `path`."""
        if self._opened:
            raise ValueError(f"it refers to another file: {path}")
        self._opened = True
        return open(path, "rb", buffering=0)


class Reached:
    """How far into the file its packets came, those of pictures included."""

    def __init__(self, container: Any) -> None:
        self._begin_s = (container.start_time or 0) / 1e6
        self._units_s = {s.index: float(s.time_base) for s in container.streams if s.time_base}
        self.seconds = 0.0

    def add(self, packet: Any) -> None:
        """Count a packet."""
        unit_s = self._units_s.get(packet.stream_index)
        if packet.pts is not None and unit_s is not None:
            self.seconds = max(self.seconds, (packet.pts + (packet.duration or 0)) * unit_s - self._begin_s)


def _pieces(container: Any, stream: Any, reached: Reached) -> Iterator[Piece]:
    form: tuple[int, int] | None = None
    for packet in container.demux():
        reached.add(packet)
        if packet.stream_index != stream.index:
            continue
        for frame in packet.decode():
            samples, rate = _floats(frame), frame.sample_rate
            if not rate:
                raise ValueError("it states no sample rate")
            form = form or (len(samples), rate)
            if form != (len(samples), rate):
                raise ValueError("its sample rate or its number of channels changes")
            yield samples, rate


def _floats(frame: Any) -> np.ndarray[Any, Any]:
    """Return the frame's samples, float32 ``[C, n]``; integers are scaled by powers of two, as FFmpeg scales them."""
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
    """Return the seconds that the container states; None where it states none."""
    names = set(container.format.name.split(","))
    if names & _ESTIMATING:
        return None
    if "matroska" not in names and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration and container.duration > 0 else None


def _slack_s(stream: Any, rate: int) -> float:
    """Return how far the stated length may be off: some frames of a lossy codec, one of another, and rounding."""
    frame = stream.codec_context.frame_size
    lossless = stream.codec_context.name.startswith(_LOSSLESS)
    return _ROUNDED_S + min(0.5, (frame if lossless else _DELAYED * (frame or 1024)) / rate)


def _limit_memory() -> None:
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/statm") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + _MEMORY, resource.RLIM_INFINITY))


def _die_with(parent: int) -> None:
    """End when the caller has ended, also where a fork of it still holds the other end of standard input."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
