"""Write 16-bit WAV, whole or while its samples arrive."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch

from areca.files.writing import draft_path, remove, replace_file, wrap_storage_errors
from areca.types import Audio

UNKNOWN = 0xFFFFFFFF
"""The sizes in the header of a WAV of unknown length: the largest number, which ffmpeg also writes to a pipe."""
_HEADER_BYTES = 44


def to_pcm16(audio: Audio) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """Return 16-bit samples ``[T, C]``; samples beyond [-1, 1] are clipped."""
    # x 32768 and not 32767, so that 16-bit audio survives reading and writing bit for bit.
    samples = (audio.samples.T * 32768.0).round().clamp(-32768, 32767).to(torch.int16)
    return np.ascontiguousarray(samples.numpy())


def to_bytes(audio: Audio) -> bytes:
    """Return the samples as they are in a WAV file: 16-bit little-endian, channels interleaved."""
    return to_pcm16(audio).astype("<i2").tobytes()


def wav_header(sample_rate_hz: int, channels: int, data_bytes: int | None) -> bytes:
    """Return the 44 bytes before the samples of a 16-bit WAV.

    Args:
        sample_rate_hz: samples per second.
        channels: number of channels.
        data_bytes: size of the samples in bytes; None: unknown, see `UNKNOWN`.
    """
    data = UNKNOWN if data_bytes is None else data_bytes
    form = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, channels, sample_rate_hz, 2 * channels * sample_rate_hz, 2 * channels, 16
    )
    riff = min(UNKNOWN, data + _HEADER_BYTES - 8)
    return struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + form + struct.pack("<4sI", b"data", data)


class GrowingWav:
    """A 16-bit WAV file that grows under a draft's name and has its own name once it is complete.

    Args:
        path: the file.
        sample_rate_hz: samples per second.
        channels: number of channels.

    Raises:
        StorageError: the file cannot be written; as in all methods.
    """

    def __init__(self, path: Path, sample_rate_hz: int, channels: int) -> None:
        self._path, self._draft = path, draft_path(path)
        self._format, self._bytes = (sample_rate_hz, channels), 0
        with wrap_storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._draft.open("wb", buffering=0)
            self._file.seek(_HEADER_BYTES)

    def write(self, audio: Audio) -> None:
        """Append samples of the file's rate and channels."""
        data = memoryview(to_bytes(audio))
        self._bytes += len(data)
        with wrap_storage_errors(self._path):
            while data:  # a nearly full disk takes only a part
                data = data[self._file.write(data) :]

    def finish(self) -> None:
        """Complete the header, and give the file its name."""
        with replace_file(self._path, wait=False) as draft:
            self._file.seek(0)
            self._file.write(wav_header(*self._format, self._bytes))
            self._file.close()
            self._draft.replace(draft)

    def discard(self) -> None:
        """Remove the draft."""
        self._file.close()
        remove(self._draft)
