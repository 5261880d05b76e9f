"""Make valid file and folder names from arbitrary text."""

from __future__ import annotations

import hashlib
import os
import re

NAME_BYTES = 255
"""Maximum length of a file name, in bytes."""


def shorten_file_name(stem: str, suffix: str) -> str:
    """Return ``stem + suffix``, shortened to a valid file name if necessary.

    A stem that is too long is cut, and a hash of the whole stem keeps the name unique.

    Args:
        stem: any text without a path separator.
        suffix: end of the name, like ``".wav"``.

    Returns:
        a name of at most `NAME_BYTES` bytes.
    """
    room = NAME_BYTES - len(os.fsencode(suffix))
    content = stem.encode("utf-8", "surrogateescape")
    if len(content) <= room:
        return stem + suffix
    digest = hashlib.sha256(content).hexdigest()[:16]
    return content[: room - 17].decode("utf-8", "ignore") + "-" + digest + suffix


def sanitize_folder_name(text: str) -> str:
    """Return a valid folder name for any text: without path separators or leading dots, and not too long."""
    return shorten_file_name(re.sub(r"[/\\\0]|^\.+", "-", text), "")
