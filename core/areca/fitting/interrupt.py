"""Ctrl-C and SIGTERM: they stop work at once, or, where a loop can save its state, at the end of its step."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = "\x1b[?25h"
_APART_S = 0.5
"""Signals closer together are one: `timeout` and others send theirs to the process and then to its group."""
_received_s: list[float] = []  # when the first signal came, since the outermost context began


class Interrupted(KeyboardInterrupt):
    """A signal has stopped the work.

    Args:
        number: of the signal.
        report: what was saved, as ``"saved at step 1234"``.
    """

    def __init__(self, number: int, report: str = "") -> None:
        super().__init__(*([report] if report else []))
        self.code = 128 + number
        """Exit code, as shells have it: 130 after Ctrl-C, 143 after SIGTERM."""


class Pending:
    """Whether a signal has come: true then."""

    def __init__(self) -> None:
        self._number: int | None = None

    def __bool__(self) -> bool:
        return self._number is not None

    def note(self, number: int) -> None:
        """Remember that the signal came, and say what happens."""
        self._number = number
        _say("stopping at the end of this step, to save it; once more stops at once")

    def stop(self, report: str = "") -> NoReturn:
        """Stop, now that everything is saved.

        Raises:
            Interrupted: always.
        """
        assert self._number is not None, "a signal has come"
        number, self._number = self._number, None
        raise Interrupted(number, report)


@contextmanager
def raising() -> Iterator[None]:
    """Within the block the first signal raises `Interrupted`, and the second ends the process."""
    with _handled(_raise):
        yield


@contextmanager
def deferred() -> Iterator[Pending]:
    """Within the block the first signal is noted, for a loop that looks at it; the second ends the process.

    Raises:
        Interrupted: one came, and the block has ended without looking.
    """
    pending = Pending()
    with _handled(pending.note):
        yield pending
    if pending:
        pending.stop()


def _raise(number: int) -> None:
    raise Interrupted(number)


@contextmanager
def _handled(first: Callable[[int], None]) -> Iterator[None]:
    """Within the block give the first signal to `first`. Elsewhere than in the program's main thread, do nothing."""
    if threading.current_thread() is not threading.main_thread() or _is_worker():
        yield
        return
    owner = os.getpid()

    def handle(number: int, _frame: Any) -> None:
        if os.getpid() != owner:  # a forked child: not for it to save
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        now_s = time.monotonic()
        if not _received_s:
            _received_s.append(now_s)
            first(number)
        elif now_s - _received_s[0] > _APART_S:
            _say("stopped at once" + (_SHOW_CURSOR if sys.stderr.isatty() else ""))
            os._exit(128 + number)

    # What was told to ignore a signal, as by nohup, goes on to.
    before = {s: was for s in _SIGNALS if (was := signal.getsignal(s)) not in (signal.SIG_IGN, None)}
    outermost = not any(map(_ours, before.values()))
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)
        if outermost:
            _received_s.clear()


def _is_worker() -> bool:
    processes: Any = sys.modules.get("multiprocessing.process")  # which a worker has imported
    return processes is not None and processes.parent_process() is not None


def _ours(handler: Any) -> bool:
    return getattr(handler, "__module__", None) == __name__


def _say(message: str) -> None:
    # Not by print: a handler may run in the middle of one.
    os.write(2, f"\n{message}\n".encode())
