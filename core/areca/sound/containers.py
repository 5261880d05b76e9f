"""What the bytes of a file say and the decoders do not tell: its true kind, and lengths that do not add up."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from areca.errors import InvalidAudio, quote

STREAMED_BYTES = 0x7FFF_F000
"""A declared size from here on is what a program writes that could not know the size: not a truncation."""
_START = 1024  # bytes that tell what a file is
_PAGE = 65_307  # bytes of the longest Ogg page
_MPEG_FRAME = 1441  # bytes of the longest MP3 frame at usual rates
_JUNK = 4096  # bytes behind the samples of a WAV that may be anything: tags, padding
_KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer and not the recording itself: type git lfs pull"),
    (b"/annex/objects/", "a git-annex pointer and not the recording itself: type git annex get"),
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


def start_of(path: Path) -> bytes:
    """Return the first bytes of a file, which the functions below take: opening a file again for each takes time.

    Raises:
        InvalidAudio: it cannot be read.
    """
    try:
        with _opened(path) as file:
            return file.read(_START)
    except OSError as error:
        raise InvalidAudio(f"{path}: cannot be read ({error.strerror})") from error


def what_is(start: bytes, *, text: bool = True) -> str | None:
    """Return what a file that is not audio is, as ``"a web page (HTML) ..."``; None where its start does not tell.

    Without `text` plain text does not count: samples without a header may look like it.
    """
    for magic, kind in _KINDS:
        if start.startswith(magic) or (magic.startswith(b"/annex") and magic in start[:200]):
            return kind
    if _MARKUP.match(start.removeprefix(b"\xef\xbb\xbf")):
        return "a web page (HTML), as a server sends it instead of a recording: download the recording itself"
    if not text or not (stripped := (_text(start) or "").strip()):
        return None
    if stripped.startswith("<?xml"):
        return f"text (XML): {quote(stripped[:100])}"
    kind = "text (JSON)" if stripped[:1] in ("{", "[") else "text"
    return f"{kind}: {quote(stripped[:100])}"


def _text(start: bytes) -> str | None:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = start[: len(start) // 2 * 2].decode("utf-16", errors="replace")
        if sum(c < "\u0250" for c in text) < len(text) / 2:  # any two bytes are a character of some script
            return None
    else:
        text = start.decode("utf-8", errors="replace")
        if len(start) == _START:  # a character may be cut in half
            text = text.rstrip("\ufffd")
    control = any(c < " " and c not in "\t\n\r\f\v\x1b" for c in text)
    return None if control or "\ufffd" in text else text


def mpeg_length(path: Path, start: bytes) -> bool | None:
    """Return whether an MP3 states its length, in a frame of the kind Xing, Info or VBRI; None if it is not an MP3.

    Raises:
        InvalidAudio: the bytes that it states are not there, or another recording follows them: files were joined.
    """
    if start[:3] != b"ID3" and start[:1] != b"\xff":
        return None
    with _opened(path) as file:
        at = 0
        while (tag := _bytes(file, at, 10))[:3] == b"ID3" and len(tag) == 10:
            at += 10 + sum((b & 0x7F) << 7 * (3 - i) for i, b in enumerate(tag[6:]))
        if tag[:1] != b"\xff":
            return None
        frame = _bytes(file, at, 200)
        if len(frame) < 48 or frame[1] < 0xE0:
            return None
        if b"VBRI" in frame[:48]:
            return True
        place = max(frame.find(b"Xing", 0, 48), frame.find(b"Info", 0, 48))
        if place < 0 or len(frame) < place + 16 or not frame[place + 7] & 1:
            return False
        if frame[place + 7] & 2:
            _check_mpeg(path, file, at, int.from_bytes(frame[place + 12 : place + 16], "big"))
        return True


def _check_mpeg(path: Path, file: BinaryIO, at: int, stated: int) -> None:
    there = _size(file) - at
    if there < stated - _MPEG_FRAME:
        raise InvalidAudio(f"{path}: truncated, its header declares {stated} bytes and {there} are there")
    behind = _bytes(file, at + stated, 10)
    if stated and len(behind) == 10 and (behind[:3] == b"ID3" or (behind[0] == 0xFF and behind[1] >= 0xE2)):
        raise InvalidAudio(
            f"{path}: its header declares {stated} bytes and another recording follows: files were joined; "
            "give each on its own"
        )


def refuse_short(path: Path, start: bytes) -> None:
    """Refuse what only the container's own frame shows to be cut: Ogg without its last page, AVI without its end.

    Raises:
        InvalidAudio: the file ends early.
    """
    if start[:4] not in (b"OggS", b"RIFF"):
        return
    with _opened(path) as file:
        size = _size(file)
        tail = _bytes(file, max(0, size - _PAGE), _PAGE) if start[:4] == b"OggS" else b""
    if start[:4] == b"OggS":
        page = tail.rfind(b"OggS")
        if page < 0 or len(tail) < page + 27 or not tail[page + 5] & 4:
            raise InvalidAudio(f"{path}: truncated, the Ogg stream has no end")
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        stated = int.from_bytes(start[4:8], "little") + 8
        if size < stated < STREAMED_BYTES:
            raise InvalidAudio(f"{path}: truncated, its header declares {stated} bytes and {size} are there")


@dataclass(frozen=True, slots=True)
class Wave:
    """Where the samples of a WAV are.

    Args:
        size_at: place of the four bytes that state their size.
        stated: the size that they state.
        behind: bytes from there to the end that are no further chunks.
    """

    size_at: int
    stated: int
    behind: int


def _wave(path: Path, start: bytes) -> Wave | None:
    if start[:4] != b"RIFF" or start[8:12] != b"WAVE":
        return None
    with _opened(path) as file:
        return _chunks(file)


def _chunks(file: BinaryIO) -> Wave | None:
    end, at = _size(file), 12
    found: tuple[int, int] | None = None
    while at + 8 <= end:
        name, size = (chunk := _bytes(file, at, 8))[:4], int.from_bytes(chunk[4:], "little")
        if found is not None and not (re.fullmatch(rb"[\w \-]{4}", name) and at + 8 + size <= end):
            break
        if found is None and name == b"data":
            found = (at + 4, size)
        at += 8 + size + size % 2
    return None if found is None else Wave(*found, max(0, end - at))


def check_wave(path: Path, start: bytes) -> Wave | None:
    """Return where a WAV's samples are if it states that there are none and they follow all the same.

    Raises:
        InvalidAudio: it states some and many more follow.
    """
    found = _wave(path, start)
    if found is None or found.behind <= _JUNK:
        return found if found is not None and found.stated == 0 and found.behind > 1 else None
    if 0 < found.stated < STREAMED_BYTES and found.behind > found.stated // 100:
        raise InvalidAudio(
            f"{path}: its header declares {found.stated} bytes of samples, and {found.behind} more follow: damaged"
        )
    return found if found.stated == 0 else None


def _opened(path: Path) -> BinaryIO:
    return open(path, "rb", buffering=0)  # a raw file reads what is asked for at once


def _bytes(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size
