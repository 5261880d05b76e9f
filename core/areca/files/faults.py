"""Describe machine errors (full disk, missing permission, no memory) in one line, whichever library raises them."""

from __future__ import annotations

import errno
import os
import re

from areca.errors import ArecaError, quote, summarise

ADVICE = {
    errno.ENOSPC: "free some space, or choose another location",
    errno.EDQUOT: "free some of your quota, or choose another location",
    errno.EFBIG: "choose a file system that supports larger files, or raise `ulimit -f`",
    errno.EROFS: "choose a location that is writable",
    errno.EACCES: "change its permissions, or choose another location",
    errno.EPERM: "change its permissions, or choose another location",
    errno.ENOTDIR: "a parent folder is a file: choose another location",
    errno.EEXIST: "a file or folder with this name already exists: choose another location",
    errno.EISDIR: "a folder with this name exists: choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise `ulimit -n`",
    errno.EIO: "check the disk, or choose another location",
    errno.ENOLCK: "choose a file system that supports locks",
}
"""What the user can do about a storage error, by errno."""
_NOT_STORAGE = (TimeoutError, ConnectionError, ChildProcessError)
"""OSErrors that do not come from storage: locks, network, other processes."""
_NUMBER = re.compile(r"\((?:os error) (\d+)\)|\[errno (\d+)\]")  # safetensors and Arrow
_PATH = re.compile(r'at path "([^"]+)"')
_UNFINISHED = re.compile(r"inline_container|PytorchStreamWriter|^\d+ requested and \d+ written$")  # torch and NumPy
_NO_MEMORY = re.compile(r"can't allocate memory|out of memory|Unable to allocate", re.IGNORECASE)


def find_os_error(error: BaseException) -> OSError | None:
    """Extract the storage error from an exception of any library.

    Args:
        error: raised by Python, safetensors, Arrow, PyTorch, NumPy or soundfile.

    Returns:
        the error as an `OSError`, with its errno if the library reports it; None if `error` does not concern storage
        or is an `ArecaError`.
    """
    if isinstance(error, ArecaError):
        return None
    text = str(error)
    if found := _NUMBER.search(text):
        number = int(found[1] or found[2])
        path = _PATH.search(text)
        return OSError(number, os.strerror(number), path[1] if path else getattr(error, "filename", None))
    if isinstance(error, (OSError, RuntimeError)) and _UNFINISHED.search(text):
        return OSError(errno.ENOSPC, "the file could not be written completely")
    if type(error).__name__ == "LibsndfileError" and text.endswith("System error."):
        return OSError(None, text)
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, _NOT_STORAGE):
        return error
    return None


def is_unwritable(fault: OSError) -> bool:
    """Return whether the disk as a whole cannot be written: full, over quota, read-only or failing."""
    return fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def describe_machine_error(error: BaseException) -> str | None:
    """Return a one-line description of an error caused by the machine; None for any other error."""
    fault = find_os_error(error) or (error if isinstance(error, OSError) else None)
    if fault is not None:
        where = f"{fault.filename}: " if fault.filename is not None else ""
        reason = fault.strerror or " ".join(str(fault).split()) or type(fault).__name__
        return where + reason + advise(fault)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error))):
        return f"not enough memory ({summarise(error)}): use smaller batches, shorter recordings or a smaller model"
    if isinstance(error, RecursionError):
        return "the input is nested too deeply: give one with fewer levels"
    if isinstance(error, UnicodeEncodeError):  # from a file name that a library encodes as text
        return f"{quote(error.object)} is not valid {error.encoding} text: rename the file"
    return None


def advise(fault: OSError) -> str:
    """Return ``": "`` and the advice for an error; ``""`` if there is none."""
    return f": {ADVICE[fault.errno]}" if fault.errno in ADVICE else ""
