"""Errors of the machine, whatever library meets them: a full disk, no permission, no memory, each in one line."""

from __future__ import annotations

import errno
import os
import re

from areca.errors import ArecaError, quote

ADVICE = {
    errno.ENOSPC: "free some space, or choose another place",
    errno.EDQUOT: "free some of your quota, or choose another place",
    errno.EFBIG: "choose a place for larger files, or raise `ulimit -f`",
    errno.EROFS: "choose a place that can be written",
    errno.EACCES: "change its permissions, or choose another place",
    errno.EPERM: "change its permissions, or choose another place",
    errno.ENOTDIR: "a folder of that name is a file: choose another place",
    errno.EEXIST: "something of that name is there already: choose another place",
    errno.EISDIR: "a file of that name is a folder: choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise `ulimit -n`",
    errno.EIO: "check the disk, or choose another place",
    errno.ENOLCK: "choose a place whose file system has locks",
}
"""What to do about an error of a file system, by its number."""
_ELSE = (TimeoutError, ConnectionError, ChildProcessError)
"""Errors that are not of a disk: of a lock, a network, another process."""
_NUMBER = re.compile(r"\((?:os error) (\d+)\)|\[errno (\d+)\]")  # of safetensors, of Arrow
_AT = re.compile(r'at path "([^"]+)"')
_UNFINISHED = re.compile(r"inline_container|PytorchStreamWriter|^\d+ requested and \d+ written$")  # torch, NumPy
_NO_MEMORY = re.compile(r"can't allocate memory|out of memory|Unable to allocate", re.IGNORECASE)


def storage_fault(error: BaseException) -> OSError | None:
    """Return what an error says of the disk as an `OSError` with its number, where the library tells it.

    Args:
        error: of Python, safetensors, Arrow, PyTorch, NumPy or soundfile.

    Returns:
        None: it says nothing about a disk, or is areca's own.
    """
    if isinstance(error, ArecaError):
        return None
    text = str(error)
    if found := _NUMBER.search(text):
        number = int(found[1] or found[2])
        at = _AT.search(text)
        return OSError(number, os.strerror(number), at[1] if at else getattr(error, "filename", None))
    if isinstance(error, (OSError, RuntimeError)) and _UNFINISHED.search(text):
        return OSError(errno.ENOSPC, "it could not be written in full")
    if type(error).__name__ == "LibsndfileError" and text.endswith("System error."):
        return OSError(None, text)
    return error if isinstance(error, OSError) and error.errno is not None and not isinstance(error, _ELSE) else None


def full(fault: OSError) -> bool:
    """Return whether a disk has no room, or none that may be used."""
    return fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def describe(error: BaseException) -> str | None:
    """Return one line for an error that comes from the machine; None: it comes from elsewhere."""
    fault = storage_fault(error) or (error if isinstance(error, OSError) else None)
    if fault is not None:
        where = f"{fault.filename}: " if fault.filename is not None else ""
        reason = fault.strerror or " ".join(str(fault).split()) or type(fault).__name__
        return where + reason + advice(fault)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error))):
        return (
            f"not enough memory ({_first_line(error)}): take smaller batches or shorter recordings, or a smaller model"
        )
    if isinstance(error, RecursionError):
        return "something in the input is nested too deeply to be read"
    if isinstance(error, UnicodeEncodeError):  # of a file's name that a library takes as text
        return f"{quote(error.object)} is not text in {error.encoding}: rename the file"
    return None


def advice(fault: OSError) -> str:
    """Return ``": "`` and what to do, or nothing."""
    return f": {ADVICE[fault.errno]}" if fault.errno in ADVICE else ""


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
