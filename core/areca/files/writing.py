"""Write files and folders atomically, and turn storage errors into clear messages."""

from __future__ import annotations

import contextlib
import errno
import glob
import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from areca.errors import StorageError
from areca.files.faults import advise, find_os_error
from areca.files.names import NAME_BYTES

DRAFT = ".draft"
"""Suffix of unfinished files and folders: ``.NAME.PID.N.draft``, in the folder of the final path."""
_SAFETENSORS_DRAFT = re.compile(r"\.tmp[A-Za-z0-9]{6}")
_NAME = 40  # characters of the final name in a draft's name; file systems limit a name to 255 bytes
_numbers = itertools.count()
SYNCING = 16
"""Number of files synced at once: the file system can then flush them together."""


@contextlib.contextmanager
def wrap_storage_errors(path: Path, action: str = "written") -> Iterator[None]:
    """Convert storage errors raised in the block, by any library, to `StorageError`.

    The message is one line: path, reason, advice.

    Args:
        path: the file or folder, for the message.
        action: past participle for the message: ``"written"``, ``"read"``, ``"removed"``.

    Raises:
        StorageError: a storage error was raised in the block.

    Example:
        >>> with wrap_storage_errors(path, "read"):
        ...     content = path.read_bytes()
    """
    try:
        yield
    except Exception as error:
        if (fault := find_os_error(error)) is None:
            raise
        same_file = fault.filename is None or DRAFT in str(fault.filename) or str(fault.filename) == str(path)
        reason = ("" if same_file else f"{fault.filename}: ") + (fault.strerror or str(fault) or type(fault).__name__)
        raise StorageError(f"{path}: cannot be {action} ({reason}){advise(fault)}") from error


@contextlib.contextmanager
def replace_file(path: Path, *, wait: bool = True) -> Iterator[Path]:
    """Write a file atomically: yield a draft path, and rename the draft to `path` when the block ends.

    If the block raises, the draft is removed and `path` is unchanged. A killed process leaves its draft; the next
    write of `path` removes it.

    Args:
        path: the file.
        wait: whether to wait until the content is on the disk; False if the caller syncs many files later.

    Raises:
        StorageError: the file cannot be written.

    Example:
        >>> with replace_file(path) as draft:
        ...     draft.write_bytes(content)
    """
    draft = draft_path(path)
    try:
        with wrap_storage_errors(path):
            yield draft
            if wait:
                sync(draft)
            draft.replace(path)
            if wait:
                sync(path.parent)
    finally:
        remove(draft)
    _remove_stale(path)


@contextlib.contextmanager
def create_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Create a folder atomically: yield an empty draft folder, and rename it to `path` when the block ends.

    The files are on the disk before the rename. If the block raises, the draft is removed and `path` is unchanged.

    Args:
        path: the folder; must not exist unless `replace` is true.
        replace: whether to replace an existing folder once the new one is complete.

    Raises:
        StorageError: the folder cannot be written, or `path` exists.
    """
    draft, old = draft_path(path), draft_path(path)
    try:
        with wrap_storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.mkdir()
            yield draft
            sync_tree(draft)
            if replace and path.exists():
                path.replace(old)
            draft.rename(path)
            sync(path.parent)
    finally:
        remove(draft)
    remove(old)
    _remove_stale(path)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically.

    Raises:
        StorageError: the file cannot be written.
    """
    with replace_file(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically.

    Raises:
        StorageError: the file cannot be written.
        ValueError: `value` contains NaN or infinity, which JSON cannot represent.
    """
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def sync(path: Path) -> None:
    """Wait until the content of a file, or the entries of a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until `folder` and all files and folders below it are on the disk."""
    paths = [Path(directory, name) for directory, _, names in os.walk(folder) for name in (*names, ".")]
    with ThreadPoolExecutor(SYNCING) as pool:
        list(pool.map(sync, paths))


def remove_drafts(folder: Path) -> None:
    """Remove the drafts of all processes below `folder`. Only for folders that no other process writes to.

    This includes the drafts of safetensors (``.tmpXXXXXX``), which a killed process leaves.
    """
    for path in sorted(folder.rglob(".*")):
        if path.name.endswith(DRAFT) or _SAFETENSORS_DRAFT.fullmatch(path.name):
            remove(path)


def probe(folder: Path) -> None:
    """Check that files can be written to `folder`, which need not exist yet. Leaves no file behind.

    Raises:
        StorageError: no file can be written, or the folder cannot be created.
    """
    with wrap_storage_errors(folder):
        path = _existing_folder(folder) / "probe"
        draft = draft_path(path)
        try:
            draft.write_bytes(b"\0")
            sync(draft)  # a full or remote disk may fail only here
        finally:
            remove(draft)
        _remove_stale(path)


def _existing_folder(folder: Path) -> Path:
    """Return `folder`, or its closest parent that exists."""
    for path in (folder, *folder.absolute().parents):
        try:
            path.stat()
        except FileNotFoundError:
            if len(os.fsencode(path.name)) > NAME_BYTES:  # the system checks this only if the parent exists
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG)) from None
            continue
        return path
    return folder


@contextlib.contextmanager
def hold_lock(path: Path, refusal: str) -> Iterator[None]:
    """Hold the lock file `path` during the block; never wait for another process. The empty file remains.

    Args:
        path: the lock file, in an existing folder.
        refusal: message of the error if another process holds the lock.

    Raises:
        StorageError: another process holds the lock, or the file cannot be locked.
    """
    import filelock

    lock = filelock.FileLock(path, timeout=0)
    with wrap_storage_errors(path, "locked"):
        try:
            lock.acquire()
        except filelock.Timeout:
            raise StorageError(refusal) from None
        except NotImplementedError as error:
            raise OSError(errno.ENOLCK, str(error)) from error
    try:
        yield
    finally:
        lock.release()


def remove(path: Path) -> None:
    """Remove a file or folder if it exists. Errors are ignored, so that they never hide an earlier error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def draft_path(path: Path) -> Path:
    """Return a new path for the unfinished content of `path`, in the same folder.

    Whoever writes it renames or removes it. If its process is killed, the next `replace_file` of `path` removes it.
    """
    return path.with_name(f".{path.name[:_NAME]}.{os.getpid()}.{next(_numbers)}{DRAFT}")


def _remove_stale(path: Path) -> None:
    """Remove drafts of `path` whose process has ended."""
    for other in path.parent.glob(f".{glob.escape(path.name[:_NAME])}.*{DRAFT}"):
        pid = other.name.removesuffix(DRAFT).split(".")[-2]
        if pid.isdecimal() and not _is_running(int(pid)):
            remove(other)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # the process belongs to another user
        return True
    return True
