"""Handle Ctrl-C and SIGTERM: stop at once, or, in a loop that can save its state, at the end of the step."""

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
"""Signals closer together count as one: `timeout` and others signal the process and then its group."""
_received_s: list[float] = []  # time of the first signal since the outermost context began


class Interrupted(KeyboardInterrupt):
    """A signal has stopped the work.

    Args:
        number: the signal's number.
        report: what was saved, for example ``"saved at step 1234"``.
    """

    def __init__(self, number: int, report: str = "") -> None:
        super().__init__(*([report] if report else []))
        self.code = 128 + number
        """Exit code by the shells' convention: 130 after Ctrl-C, 143 after SIGTERM."""


class PendingSignal:
    """A signal that a loop has still to act on. It is true once a signal has arrived."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.number = 0
        """The signal's number; 0: none has arrived."""
        self._quiet = quiet

    def __bool__(self) -> bool:
        return self.number != 0

    def note(self, number: int) -> None:
        """Record the signal, and tell the user what happens next."""
        self.number = number
        if not self._quiet:
            _print_message("stopping at the end of this step, to save it; a second signal stops at once")

    def stop(self, report: str = "") -> NoReturn:
        """Stop, after the caller has saved its state.

        Args:
            report: what was saved, for example ``"saved at step 1234"``.

        Raises:
            Interrupted: always.
        """
        number, self.number = self.number, 0
        assert number, "a signal has arrived"
        raise Interrupted(number, report)


@contextmanager
def raise_on_signal() -> Iterator[None]:
    """Within the block, the first signal raises `Interrupted` and the second ends the process."""
    with _handle_first_signal(_raise):
        yield


@contextmanager
def defer_signals(*, quiet: bool = False) -> Iterator[PendingSignal]:
    """Within the block, the first signal is recorded for the loop to check; the second ends the process.

    Args:
        quiet: whether to leave telling the user to another process.

    Raises:
        Interrupted: a signal arrived, and the block ended without acting on it.

    Example::

        with defer_signals() as pending:
            for step in range(steps):
                train(step)
                if pending:
                    save()
                    pending.stop(f"saved at step {step + 1}")
    """
    pending = PendingSignal(quiet=quiet)
    with _handle_first_signal(pending.note):
        yield pending
    if pending:
        pending.stop()


def _raise(number: int) -> None:
    raise Interrupted(number)


@contextmanager
def _handle_first_signal(first: Callable[[int], None]) -> Iterator[None]:
    """Within the block, pass the first signal to `first`. Do nothing outside the program's main thread."""
    if threading.current_thread() is not threading.main_thread() or _is_worker():
        yield
        return
    owner = os.getpid()

    def handle(number: int, _frame: Any) -> None:
        if os.getpid() != owner:  # a forked child must not save
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        now_s = time.monotonic()
        if not _received_s:
            _received_s.append(now_s)
            first(number)
        elif now_s - _received_s[0] > _APART_S:
            _print_message("stopped at once" + (_SHOW_CURSOR if sys.stderr.isatty() else ""))
            os._exit(128 + number)

    # Signals that are ignored, for example under nohup, stay ignored.
    previous = {s: handler for s in _SIGNALS if (handler := signal.getsignal(s)) not in (signal.SIG_IGN, None)}
    outermost = not any(map(_is_areca_handler, previous.values()))
    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if outermost:
            _received_s.clear()


def _is_worker() -> bool:
    processes: Any = sys.modules.get("multiprocessing.process")  # a worker process has imported it
    return processes is not None and processes.parent_process() is not None


def _is_areca_handler(handler: Any) -> bool:
    return getattr(handler, "__module__", None) == __name__


def _print_message(message: str) -> None:
    # os.write, because a handler may run in the middle of a print.
    os.write(2, f"\n{message}\n".encode())
