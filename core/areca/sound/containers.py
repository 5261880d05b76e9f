"""Inspect the bytes of audio files for faults that decoders do not report: other file types and wrong lengths."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from areca.errors import InvalidAudio, quote

STREAMED_BYTES = 0x7FFF_F000
"""Smallest declared size that does not indicate truncation: programs that stream a file declare a placeholder."""
_START = 1024  # bytes that identify the type of a file
_PAGE = 65_307  # bytes in the longest Ogg page
_MPEG_FRAME = 1441  # bytes in the longest MP3 frame at common rates
_JUNK = 4096  # maximum bytes of tags and padding after the samples of a WAV
_KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the recording itself: type git lfs pull"),
    (b"/annex/objects/", "a git-annex pointer, not the recording itself: type git annex get"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive: unpack it"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"BZh", "a bzip2 archive: unpack it"),
    (b"\xfd7zXZ", "an xz archive: unpack it"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"\x93NUMPY", "a NumPy array: give (numpy.load(path), rate) in Python"),
    (b"\x7fELF", "a program"),
    (b"SQLite format", "a database (SQLite)"),
)
_MARKUP = re.compile(rb"\s*(?:<!--.*?-->\s*)?<(?:!doctype html|html|head|body|script)", re.IGNORECASE | re.DOTALL)


def read_start(path: Path) -> bytes:
    """Return the first bytes of a file. Callers pass them to the functions below, so that the file is opened once.

    Raises:
        InvalidAudio: the file cannot be read.
    """
    try:
        with _open(path) as file:
            return file.read(_START)
    except OSError as error:
        raise InvalidAudio(f"{path}: cannot be read ({error.strerror})") from error


def identify_content(start: bytes, *, text: bool = True) -> str | None:
    """Identify the type of a file that is not audio, like ``"a web page (HTML) ..."``.

    Args:
        start: first bytes of the file, from `read_start`.
        text: whether to recognise plain text; False for headerless audio, which may look like text.

    Returns:
        the type, for a message; None if the bytes do not identify it.
    """
    for magic, kind in _KINDS:
        if start.startswith(magic) or (magic.startswith(b"/annex") and magic in start[:200]):
            return kind
    if _MARKUP.match(start.removeprefix(b"\xef\xbb\xbf")):
        return "a web page (HTML), which a server sent instead of the recording: download the recording itself"
    if not text or not (stripped := (_decode_text(start) or "").strip()):
        return None
    if stripped.startswith("<?xml"):
        return f"text (XML): {quote(stripped[:100])}"
    kind = "text (JSON)" if stripped[:1] in ("{", "[") else "text"
    return f"{kind}: {quote(stripped[:100])}"


def _decode_text(start: bytes) -> str | None:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = start[: len(start) // 2 * 2].decode("utf-16", errors="replace")
        if sum(c < "\u0250" for c in text) < len(text) / 2:  # any two bytes are a valid character in some script
            return None
    else:
        text = start.decode("utf-8", errors="replace")
        if len(start) == _START:  # the last character may be incomplete
            text = text.rstrip("\ufffd")
    control = any(c < " " and c not in "\t\n\r\f\v\x1b" for c in text)
    return None if control or "\ufffd" in text else text


def mpeg_states_length(path: Path, start: bytes) -> bool | None:
    """Return whether an MP3 file states its length in a Xing, Info or VBRI frame.

    Args:
        path: the file.
        start: its first bytes, from `read_start`.

    Returns:
        None if the file is not an MP3.

    Raises:
        InvalidAudio: the file is shorter than stated, or another recording follows the stated bytes.
    """
    if start[:3] != b"ID3" and start[:1] != b"\xff":
        return None
    with _open(path) as file:
        # Skip the ID3 tags before the first frame.
        at = 0
        while (tag := _read_at(file, at, 10))[:3] == b"ID3" and len(tag) == 10:
            at += 10 + sum((b & 0x7F) << 7 * (3 - i) for i, b in enumerate(tag[6:]))
        if tag[:1] != b"\xff":
            return None
        # The first frame of an MP3 with a stated length holds a table instead of sound.
        frame = _read_at(file, at, 200)
        if len(frame) < 48 or frame[1] < 0xE0:
            return None
        if b"VBRI" in frame[:48]:
            return True
        place = max(frame.find(b"Xing", 0, 48), frame.find(b"Info", 0, 48))
        if place < 0 or len(frame) < place + 16 or not frame[place + 7] & 1:
            return False
        if frame[place + 7] & 2:  # the size in bytes is stated, too
            _check_mpeg_size(path, file, at, int.from_bytes(frame[place + 12 : place + 16], "big"))
        return True


def _check_mpeg_size(path: Path, file: BinaryIO, at: int, stated: int) -> None:
    size = _size(file) - at
    if size < stated - _MPEG_FRAME:
        raise InvalidAudio(f"{path}: truncated, its header declares {stated} bytes, got {size}")
    after = _read_at(file, at + stated, 10)
    if stated and len(after) == 10 and (after[:3] == b"ID3" or (after[0] == 0xFF and after[1] >= 0xE2)):
        raise InvalidAudio(
            f"{path}: its header declares {stated} bytes, but another recording follows: files were joined; "
            "give each recording separately"
        )


def refuse_truncated(path: Path, start: bytes) -> None:
    """Reject files whose truncation only the container shows: Ogg without its last page, AVI without its end.

    Args:
        path: the file.
        start: its first bytes, from `read_start`.

    Raises:
        InvalidAudio: the file is truncated.
    """
    if start[:4] not in (b"OggS", b"RIFF"):
        return
    with _open(path) as file:
        size = _size(file)
        tail = _read_at(file, max(0, size - _PAGE), _PAGE) if start[:4] == b"OggS" else b""
    if start[:4] == b"OggS":
        page = tail.rfind(b"OggS")
        if page < 0 or len(tail) < page + 27 or not tail[page + 5] & 4:
            raise InvalidAudio(f"{path}: truncated, the Ogg stream has no end")
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        stated = int.from_bytes(start[4:8], "little") + 8
        if size < stated < STREAMED_BYTES:
            raise InvalidAudio(f"{path}: truncated, its header declares {stated} bytes, got {size}")


@dataclass(frozen=True, slots=True)
class Wave:
    """Location of the samples in a WAV file.

    Args:
        size_at: offset of the four bytes that state the size of the samples.
        stated: the stated size, in bytes.
        remaining: bytes after the stated samples that do not belong to another chunk.
    """

    size_at: int
    stated: int
    remaining: int


def _locate_samples(path: Path, start: bytes) -> Wave | None:
    if start[:4] != b"RIFF" or start[8:12] != b"WAVE":
        return None
    with _open(path) as file:
        return _scan_chunks(file)


def _scan_chunks(file: BinaryIO) -> Wave | None:
    end, at = _size(file), 12
    found: tuple[int, int] | None = None
    while at + 8 <= end:
        name, size = (chunk := _read_at(file, at, 8))[:4], int.from_bytes(chunk[4:], "little")
        if found is not None and not (re.fullmatch(rb"[\w \-]{4}", name) and at + 8 + size <= end):
            break
        if found is None and name == b"data":
            found = (at + 4, size)
        at += 8 + size + size % 2
    return None if found is None else Wave(*found, max(0, end - at))


def find_undeclared_samples(path: Path, start: bytes) -> Wave | None:
    """Locate samples in a WAV whose header declares none.

    Args:
        path: the file.
        start: its first bytes, from `read_start`.

    Returns:
        None if the file is not a WAV, or its header declares the samples.

    Raises:
        InvalidAudio: the header declares samples, but the file contains many more.
    """
    found = _locate_samples(path, start)
    if found is None or found.remaining <= _JUNK:
        return found if found is not None and found.stated == 0 and found.remaining > 1 else None
    if 0 < found.stated < STREAMED_BYTES and found.remaining > found.stated // 100:
        raise InvalidAudio(
            f"{path}: damaged, its header declares {found.stated} bytes of samples, but {found.remaining} more follow"
        )
    return found if found.stated == 0 else None


def _open(path: Path) -> BinaryIO:
    return open(path, "rb", buffering=0)  # unbuffered: reads only the bytes requested


def _read_at(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size
