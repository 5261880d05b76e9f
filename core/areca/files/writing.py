"""Write files and folders so that they appear whole or not at all, and say clearly when a disk refuses."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
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
from areca.files.faults import advice, storage_fault

DRAFT = ".draft"
"""End of the name of an unfinished file or folder: ``.NAME.PID.N.draft``, beside what it is to become."""
_FOREIGN = re.compile(r"\.tmp[A-Za-z0-9]{6}")
_NAME = 40  # characters of the name that a draft repeats: file systems limit a name to 255 bytes
_numbers = itertools.count()
NAME_BYTES = 255
"""Bytes of a file's name, at most."""
_FICLONE = 0x4004_9409  # of Linux: share the blocks of another file (btrfs, XFS)
_BLOCK = 1 << 20
SYNCING = 16
"""Files synced at once: a disk waits for each, a file system for all of them together."""


@contextlib.contextmanager
def explained(path: Path, action: str = "written") -> Iterator[None]:
    """Turn an error of the disk in the block, whatever library meets it, into one line: path, reason, what to do.

    Args:
        path: what is read or written, for the message.
        action: what could not be done to it.

    Raises:
        StorageError: the disk refused.
    """
    try:
        yield
    except Exception as error:
        if (fault := storage_fault(error)) is None:
            raise
        there = fault.filename is None or DRAFT in str(fault.filename) or str(fault.filename) == str(path)
        reason = ("" if there else f"{fault.filename}: ") + (fault.strerror or str(fault) or type(fault).__name__)
        raise StorageError(f"{path}: cannot be {action} ({reason}){advice(fault)}") from error


@contextlib.contextmanager
def replacing(path: Path, *, wait: bool = True) -> Iterator[Path]:
    """Yield a draft to write; when the block ends, it takes the place of the file `path`.

    If the block raises, the draft is removed and `path` stays as it was. A killed process leaves a draft, which the
    next write of `path` removes.

    Args:
        path: the file.
        wait: whether to wait until the content is on the disk; False where something later waits for many files.

    Raises:
        StorageError: the disk refuses.
    """
    draft = _draft(path)
    try:
        with explained(path):
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
def creating(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a new, empty draft folder; when the block ends, its files are on the disk and it becomes `path`.

    If the block raises, the draft is removed and `path` stays as it was.

    Args:
        path: the folder; must not exist unless `replace`.
        replace: remove the folder that is at `path`, once the new one is complete.

    Raises:
        StorageError: the disk refuses, or `path` exists.
    """
    draft, old = _draft(path), _draft(path)
    try:
        with explained(path):
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
    """Write a UTF-8 file whole or not at all.

    Raises:
        StorageError: the disk refuses.
    """
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all.

    Raises:
        StorageError: the disk refuses.
        ValueError: NaN or infinity, which JSON does not have.
    """
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until all files and folders below `folder`, and itself, are on the disk."""
    places = [Path(directory, name) for directory, _, names in os.walk(folder) for name in (*names, ".")]
    with ThreadPoolExecutor(SYNCING) as pool:
        list(pool.map(sync, places))


def remove_drafts(folder: Path) -> None:
    """Remove every draft below `folder`, of whatever process: only for a folder that nobody else writes to.

    safetensors has drafts of its own, ``.tmpXXXXXX``, which a killed process leaves.
    """
    for path in sorted(folder.rglob(".*")):
        if path.name.endswith(DRAFT) or _FOREIGN.fullmatch(path.name):
            remove(path)


def probe(folder: Path) -> None:
    """Check that a file can be written in `folder`, or that the folder can be made; leave nothing behind.

    Raises:
        StorageError: it cannot.
    """
    with explained(folder):
        place = _nearest(folder) / "probe"
        test = _draft(place)
        try:
            test.write_bytes(b"\0")
            sync(test)  # a full or a remote disk may refuse only now
        finally:
            remove(test)
        _remove_stale(place)


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest of those around it that exists."""
    for path in (folder, *folder.absolute().parents):
        try:
            path.stat()
        except FileNotFoundError:
            if len(os.fsencode(path.name)) > NAME_BYTES:  # the system says so only of a name in a folder that exists
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG)) from None
            continue
        return path
    return folder


def fitting_name(stem: str, suffix: str) -> str:
    """Return ``stem + suffix`` as a file's name: a stem that is too long for a disk is cut, and a hash tells it apart.

    Args:
        stem: any text without a path separator.
        suffix: ends the name.
    """
    room = NAME_BYTES - len(os.fsencode(suffix))
    content = stem.encode("utf-8", "surrogateescape")
    if len(content) <= room:
        return stem + suffix
    digest = hashlib.sha256(content).hexdigest()[:16]
    return content[: room - 17].decode("utf-8", "ignore") + "-" + digest + suffix


def folder_name(text: str) -> str:
    """Return the name of a folder for anything that somebody named: no path, and not too long."""
    return fitting_name(re.sub(r"[/\\\0]|^\.+", "-", text), "")


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder into the existing folder `target`: content shares space where the disk can, but is never one file.

    What is changed in the copy does not change the source. Permissions and times are those of a new file.

    Raises:
        StorageError: the disk refuses.
    """
    with explained(target):
        for directory, folders, names in os.walk(source):
            place = target / os.path.relpath(directory, source)
            for name in folders:
                (place / name).mkdir()
            for name in names:
                _copy(Path(directory, name), place / name)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("xb") as write:
        if not _share(read.fileno(), write.fileno()):
            shutil.copyfileobj(read, write, _BLOCK)


def _share(source: int, target: int) -> bool:
    """Let an empty file share the blocks of another, until one of them is written to, where the disk can."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def locked(path: Path, refusal: str) -> Iterator[None]:
    """Hold the lock file `path`, which stays behind, empty; never wait for it.

    Args:
        path: the lock file; its folder exists.
        refusal: what is wrong and what to do when another process holds it.

    Raises:
        StorageError: another process holds it, or the disk refuses.
    """
    import filelock

    lock = filelock.FileLock(path, timeout=0)
    with explained(path, "locked"):
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
    """Remove a file or folder, if it is there; what cannot be removed stays and hides no error of the work itself."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name[:_NAME]}.{os.getpid()}.{next(_numbers)}{DRAFT}")


def _remove_stale(path: Path) -> None:
    """Remove drafts of `path` whose process has ended."""
    for other in path.parent.glob(f".{glob.escape(path.name[:_NAME])}.*{DRAFT}"):
        pid = other.name.removesuffix(DRAFT).split(".")[-2]
        if pid.isdecimal() and not _runs(int(pid)):
            remove(other)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to somebody else
        return True
    return True
