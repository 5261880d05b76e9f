"""Progress of long work on the terminal: one live line, or a line now and then where the output is no terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self, TextIO

_EVERY_S = 10.0


class ProgressLine:
    """Shows how far a job is, what matters now and the time left. An `areca.interfaces.Progress`.

    Use it as a context manager::

        with ProgressLine("train") as progress:
            progress(3, 100, "loss 2.31")

    Args:
        label: what is being made.
        stream: where to write; None: standard error.
    """

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self._label, self._stream = label, stream or sys.stderr
        self._live = self._stream.isatty()
        self._start_s: float | None = None
        self._first = 0
        self._shown_s = 0.0
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live and self._width:
            self._stream.write("\n")
            self._stream.flush()

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Show that `done` of `total` units are ready; `message` says what matters now."""
        now_s = time.monotonic()
        if self._start_s is None:
            self._start_s, self._first = now_s, done
        if done < total and now_s - self._shown_s < (0.2 if self._live else _EVERY_S):
            return
        self._shown_s = now_s
        self._show(
            f"{self._label} {done}/{total} ({done / max(total, 1):.0%})", message, self._left(done, total, now_s)
        )

    def _left(self, done: int, total: int, now_s: float) -> str:
        assert self._start_s is not None
        fresh = done - self._first
        if done >= total:
            return f"done in {clock(now_s - self._start_s)}"
        return f"{clock((now_s - self._start_s) / fresh * (total - done))} left" if fresh > 0 else ""

    def _show(self, *words: str) -> None:
        line = "  ".join(word for word in words if word)
        if self._live:
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


def clock(seconds: float) -> str:
    """Write seconds as ``0:07``, ``12:05`` or ``1:02:03``."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"
