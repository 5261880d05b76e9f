"""Report errors as lines with exit codes, and handle errors of standard output itself."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from areca.errors import ArecaError
from areca.files.faults import describe_machine_error

FAILED, NO_READER = 1, 141
"""Exit codes: after an error; after the reader of a pipe has closed it, like programs that SIGPIPE ends."""


class OutputRefused(OSError):
    """Standard output cannot be written to."""


class _Output(io.FileIO):
    """Standard output whose errors are recognisable as its own."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputRefused(error.errno, error.strerror, "standard output") from error


def open_output() -> None:
    """Let standard output escape characters that its encoding lacks, and raise `OutputRefused` for its errors."""
    old = sys.stdout
    if not isinstance(old, io.TextIOWrapper):
        return
    raw = old.buffer.raw if isinstance(old.buffer, io.BufferedWriter) else old.buffer
    if type(raw) is not io.FileIO:  # a Windows console or a custom stream: only escape characters
        old.reconfigure(errors="backslashreplace")
        return
    old.flush()
    output = _Output(raw.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        output if old.write_through else io.BufferedWriter(output),
        encoding=old.encoding,
        errors="backslashreplace",
        line_buffering=old.line_buffering,
        write_through=old.write_through,
    )


@contextlib.contextmanager
def report_errors() -> Iterator[None]:
    """Report errors of areca and of the machine as one line, and exit; ``ARECA_DEBUG=1`` shows their tracebacks.

    Standard output is flushed when the block ends. If the reader of a pipe has closed it, nothing is reported.

    Raises:
        SystemExit: with the exit code.
    """
    try:
        try:
            yield
        except SystemExit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except OutputRefused as error:
        drop_output()
        if error.errno == errno.EPIPE:
            raise SystemExit(NO_READER) from error
        _exit_with(error, str(describe_machine_error(error)))
    except ArecaError as error:
        _exit_with(error, str(error))
    except Exception as error:
        if (line := describe_machine_error(error)) is None:
            raise
        _exit_with(error, f"{line} (ARECA_DEBUG=1 shows where)")


def _exit_with(error: Exception, line: str) -> NoReturn:
    if os.environ.get("ARECA_DEBUG"):
        raise error
    print(f"error: {line}", file=sys.stderr)
    raise SystemExit(FAILED) from error


def to_json(value: Any) -> str:
    """Return `value` as JSON that standard output can encode."""
    whole = (sys.stdout.encoding or "").lower().startswith("utf")
    return json.dumps(value, ensure_ascii=not whole, indent=1)


def drop_output() -> None:
    """Discard all output, printed and still to come, so that the interpreter does not complain when it exits."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
