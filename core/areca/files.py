"""Write files and folders so that they appear whole or not at all, and say clearly when a disk refuses."""

from __future__ import annotations

import contextlib
import errno
import glob
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from areca.errors import StorageError

DRAFT = ".draft"
"""End of the name of an unfinished file or folder: ``.NAME.PID.N.draft``, beside what it is to become."""
_NAME = 40  # characters of the name that a draft repeats: file systems limit a name to 255 bytes
_numbers = itertools.count()
_ADVICE = {
    errno.ENOSPC: "free some space, or choose another place",
    errno.EDQUOT: "free some of your quota, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.EACCES: "choose a place that you may write to",
    errno.EPERM: "choose a place that you may write to",
    errno.ENOTDIR: "a folder of that name is a file: choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextlib.contextmanager
def explained(path: Path, action: str = "written") -> Iterator[None]:
    """Turn an `OSError` of the block into one line with path, reason and what to do.

    Args:
        path: what is read or written, for the message.
        action: what could not be done to it.

    Raises:
        StorageError: the block raised an `OSError`.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        other = "" if error.filename is None or DRAFT in str(error.filename) else f"{error.filename}: "
        reason = other + (error.strerror or str(error) or type(error).__name__)
        advice = f": {_ADVICE[error.errno]}" if error.errno in _ADVICE else ""
        raise StorageError(f"{path}: cannot be {action} ({reason}){advice}") from error


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
        _remove(draft)
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
        _remove(draft)
    _remove(old)
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
    for directory, _, names in os.walk(folder):
        for name in names:
            sync(Path(directory, name))
        sync(Path(directory))


def remove_drafts(folder: Path) -> None:
    """Remove every draft below `folder`, of whatever process: only for a folder that nobody else writes to."""
    for path in sorted(folder.rglob(f".*{DRAFT}")):
        _remove(path)


def probe(folder: Path) -> None:
    """Check that a file can be written in `folder`, which is made if it does not exist.

    Raises:
        StorageError: it cannot.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        test = _draft(folder / "probe")
        try:
            test.write_bytes(b"\0")
        finally:
            _remove(test)


def _remove(path: Path) -> None:
    """Remove a file or folder; what cannot be removed stays and hides no error of the work itself."""
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
            _remove(other)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to somebody else
        return True
    return True
