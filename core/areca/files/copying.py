"""Copy folders; file contents share disk blocks where the file system supports it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from areca.files.writing import wrap_storage_errors

_FICLONE = 0x4004_9409  # Linux ioctl that lets a file share the blocks of another one (btrfs, XFS)
_BLOCK = 1 << 20


def copy_folder(source: Path, target: Path) -> None:
    """Copy the contents of `source` into the existing folder `target`.

    The copy shares disk blocks with the source where the file system supports it, but never the files themselves:
    changing one does not change the other. Copies have the permissions and times of new files.

    Raises:
        StorageError: a file cannot be copied.
    """
    with wrap_storage_errors(target):
        for directory, folders, names in os.walk(source):
            destination = target / os.path.relpath(directory, source)
            for name in folders:
                (destination / name).mkdir()
            for name in names:
                _copy_file(Path(directory, name), destination / name)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("xb") as write:
        if not _share_blocks(read.fileno(), write.fileno()):
            shutil.copyfileobj(read, write, _BLOCK)


def _share_blocks(source: int, target: int) -> bool:
    """Let the empty file `target` share the blocks of `source` (copy on write); return whether that is supported."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True
