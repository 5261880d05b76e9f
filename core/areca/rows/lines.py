"""Read the lines of a manifest one at a time, plain or compressed with gzip. Light."""

from __future__ import annotations

import contextlib
import gzip
import shlex
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from areca.errors import InvalidManifest
from areca.files.writing import wrap_storage_errors

LONGEST_LINE = 16 * 2**20
"""Maximum bytes of a line: a file without line ends must not fill the memory."""
_GZIP = b"\x1f\x8b"
_MARKS = ((b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
_ZEROS: dict[tuple[bool, ...], str] = {
    (False, True, True, True): "UTF-32LE",
    (True, True, True, False): "UTF-32BE",
    (False, True, False, True): "UTF-16LE",
    (True, False, True, False): "UTF-16BE",
}
_UTF8_MARK = b"\xef\xbb\xbf"


def read_head(path: Path, size: int = 65_536) -> bytes:
    """Return the first `size` bytes of a file, decompressed if it is gzip; ``b""`` if the gzip data is damaged.

    Raises:
        StorageError: the file cannot be read.
    """
    with _open(path) as file:
        try:
            return file.read(size)
        except (EOFError, OSError, zlib.error):
            return b""


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each line that is not blank, with its number, counted from 1.

    Raises:
        InvalidManifest: a line is too long, or the gzip data is damaged.
        StorageError: the file cannot be read.
    """
    number = 0
    with _open(path) as file:
        while line := _read_line(path, file, number + 1):
            number += 1
            line = line.removeprefix(_UTF8_MARK) if number == 1 else line
            if line.strip():
                yield number, line


def describe_wrong_encoding(path: Path, head: bytes) -> str | None:
    """Return a message if `head`, the start of `path`, is not UTF-8 or has other line ends than LF; otherwise None."""
    if encoding := _detect_wide_encoding(head):
        tool = f"iconv -f {encoding} -t UTF-8"
        return f"is text in {encoding}, expected UTF-8\n  to convert it: {_conversion_command(path, tool)}"
    if b"\r" in head.strip() and b"\n" not in head:
        tool = r"tr '\r' '\n'"
        return f"has lines that end in CR, expected LF\n  to convert it: {_conversion_command(path, tool)}"
    return None


def strip_suffixes(path: Path) -> str:
    """Return the name of a manifest without its suffixes."""
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def _conversion_command(path: Path, tool: str) -> str:
    name, new = shlex.quote(str(path)), shlex.quote(str(path.with_name(f"{strip_suffixes(path)}-utf8.jsonl")))
    return f"gzip -dc {name} | {tool} > {new}" if path.suffix == ".gz" else f"{tool} < {name} > {new}"


def _detect_wide_encoding(head: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    # The first two characters of JSON are ASCII, so the zeros among four bytes show the encoding (RFC 4627, section 3).
    zeros = tuple(byte == 0 for byte in head[:4])
    return _ZEROS.get(zeros)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    with wrap_storage_errors(path, "read"), path.open("rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        if packed:
            with gzip.open(file) as unpacked:
                yield unpacked  # type: ignore[misc]  # GzipFile reads bytes as IO does
        else:
            yield file


def _read_line(path: Path, file: IO[bytes], number: int) -> bytes:
    try:
        line = file.readline(LONGEST_LINE + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidManifest(f"{path}:{number}: the gzip data is truncated or damaged ({error})") from error
    if len(line) > LONGEST_LINE:
        raise InvalidManifest(f"{path}:{number}: the line is longer than {LONGEST_LINE // 2**20} MB")
    return line
