"""Copy recordings from a pipe to a temporary file, because decoders need to seek."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from areca.errors import InvalidAudio
from areca.files.writing import wrap_storage_errors
from areca.sound.decoding import MOST_SAMPLES

MOST_BYTES = 8 * MOST_SAMPLES
"""Maximum number of bytes read from a pipe: the size of the longest recording in 64-bit samples."""
_BLOCK = 1 << 20


def is_pipe(path: str | Path) -> bool:
    """Return whether `path` is a pipe, a terminal or a similar file that can be read only once and in order."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


@contextlib.contextmanager
def open_seekable(path: str | Path) -> Iterator[Path]:
    """Yield the path of a file with the content of `path`: `path` itself, or a temporary copy of a pipe's content.

    Raises:
        InvalidAudio: `path` is a terminal, or more than `MOST_BYTES` bytes arrive.
        StorageError: the pipe cannot be read or copied.
    """
    if not is_pipe(path):
        # /dev/stdin is resolved here, because it means another file in the worker process.
        yield Path(os.path.realpath(path)) if str(path).startswith("/dev/") else Path(path)
        return
    # The copy has the same suffix, which identifies headerless formats.
    with tempfile.NamedTemporaryFile(prefix="areca-", suffix=Path(path).suffix) as copy:
        _copy_pipe(path, copy.fileno())
        yield Path(copy.name)


def _copy_pipe(path: str | Path, into: int) -> None:
    with wrap_storage_errors(Path(path), "read"), open(path, "rb", buffering=0) as file:
        if file.isatty():
            raise InvalidAudio(f"{path}: expected a recording, got a terminal: pipe one into it: areca run - < in.wav")
        count = 0
        while block := file.read(_BLOCK):
            count += len(block)
            if count > MOST_BYTES:
                raise InvalidAudio(
                    f"{path}: expected at most {MOST_BYTES} bytes, got more: cut the recording into pieces"
                )
            os.write(into, block)
