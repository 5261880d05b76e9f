"""What a worker looks at around each input: files that change, writes elsewhere, memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Listing = dict[str, tuple[int, int, int, int]]
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = {
    "open": 1, "os.mkdir": 1, "os.rmdir": 1, "os.remove": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2,
    "os.truncate": 1, "os.chmod": 1, "os.chown": 1, "shutil.rmtree": 1,
}  # fmt: skip
"""Audit events, and how many paths their arguments start with."""


def listing(*roots: Path) -> Listing:
    """Return mode, size, time and inode of everything below some folders."""
    found: Listing = {}
    for root in roots:
        for folder, folders, files in os.walk(root):
            for name in (*folders, *files):
                path = os.path.join(folder, name)
                status = os.lstat(path)
                is_folder = name in folders  # its time changes with what is in it, which is listed itself
                found[path] = (status.st_mode, 0, 0, status.st_ino) if is_folder else (
                    status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino
                )  # fmt: skip
    return found


def changes(before: Listing, after: Listing) -> list[str]:
    """Return the paths that are not as they were."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


class Writes:
    """Notes every path outside a folder that Python code of this process would write to."""

    def __init__(self, room: Path) -> None:
        self._room, self._found, self._on = os.path.realpath(room), list[str](), False
        sys.addaudithook(self._hook)

    @contextmanager
    def watched(self) -> Iterator[list[str]]:
        """Watch, and fill the list that is given."""
        self._found, self._on = [], True
        try:
            yield self._found
        finally:
            self._on = False

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on or event not in _EVENTS:
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITES):
            return
        if event != "open" and any(isinstance(a, int) and a >= 0 for a in arguments[_EVENTS[event] :][-1:]):
            return  # relative to an open folder, whose own event was seen
        for path in arguments[: _EVENTS[event]]:
            if isinstance(path, (str, bytes, os.PathLike)):
                self._look(os.fsdecode(path))

    def _look(self, path: str) -> None:
        with suppress(ValueError, OSError):  # a path that no system call would take
            real = os.path.realpath(path)
            if not (real + os.sep).startswith(self._room + os.sep) and not real.startswith(("/dev/", "/proc/")):
                self._found.append(real)


def reset_peak() -> None:
    """Start measuring the memory of this process and its children anew."""
    for process in _family(os.getpid()):
        with suppress(OSError):
            Path(f"/proc/{process}/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the most memory that this process and its living children have held since."""
    total = 0
    for process in _family(os.getpid()):
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
            total += 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return total


def _family(process: int) -> list[int]:
    children: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return [process, *(one for child in children for one in _family(child))]
