"""Recordings that come through a pipe: copied to a file first, since decoders jump back and forth."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from areca.errors import InvalidAudio
from areca.files.writing import explained
from areca.sound.decoding import MOST_SAMPLES

MOST_BYTES = 8 * MOST_SAMPLES
"""Bytes that are read from a pipe: as many as the longest recording has in 64-bit samples."""
_BLOCK = 1 << 20


def is_pipe(path: str | Path) -> bool:
    """Return whether `path` is a pipe, a terminal or the like, which can be read once and only forwards."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


@contextlib.contextmanager
def seekable(path: str | Path) -> Iterator[Path]:
    """Yield a file with the content of `path`: itself, or a temporary copy of what comes through a pipe.

    Raises:
        InvalidAudio: it is a terminal, or more than `MOST_BYTES` come.
    """
    if not is_pipe(path):
        yield Path(os.path.realpath(path)) if str(path).startswith("/dev/") else Path(path)  # that of this process
        return
    # The suffix stays: headerless formats are told by it.
    with tempfile.NamedTemporaryFile(prefix="areca-", suffix=Path(path).suffix) as copy:
        _copy(path, copy.fileno())
        yield Path(copy.name)


def _copy(path: str | Path, into: int) -> None:
    with explained(Path(path), "read"), open(path, "rb", buffering=0) as file:
        if file.isatty():
            raise InvalidAudio(f"{path}: is a terminal: pipe a recording into it, as: areca run - < in.wav")
        count = 0
        while block := file.read(_BLOCK):
            count += len(block)
            if count > MOST_BYTES:
                raise InvalidAudio(f"{path}: more than {MOST_BYTES} bytes came: cut the recording into pieces")
            os.write(into, block)
