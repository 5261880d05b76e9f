"""Decoding with PyAV, in one helper process that a damaged file may crash: the caller only sees an error."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from areca.errors import InvalidAudio, MissingDependency

_PIPE_BYTES = 1 << 20
_PROGRAM = Path(__file__).with_name("fragile_program.py")
Block = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(slots=True)
class Answer:
    """What the program found.

    Args:
        sample_rate_hz, channels: of the samples.
        stated_s: seconds that the file states; None where it states none.
        slack_s: how far the length may differ from that.
        blocks: the samples asked for, float32 ``[C, n]`` each.
        decoded: samples of each channel from the file's start to where decoding ended.
        reached_s: seconds into the file that were reached, pictures included.
        over: whether more samples were asked for than allowed.
    """

    sample_rate_hz: int
    channels: int
    stated_s: float | None
    slack_s: float
    blocks: list[Block] = field(default_factory=list)
    decoded: int = 0
    reached_s: float = 0.0
    over: bool = False


def ask(path: Path, request: Mapping[str, Any]) -> Answer:
    """Let the helper process decode a file.

    Args:
        path: the file, for messages.
        request: see `areca.sound.fragile_program`.

    Raises:
        InvalidAudio: the file is not audio, or crashes the decoder, or keeps it busy.
        MissingDependency: PyAV is not installed.
    """
    return _helper.ask(path, json.dumps(request).encode() + b"\n")


def close() -> None:
    """End the helper process; the next file starts another."""
    _helper.close()


class _Helper:
    """The process, started when it is first needed and after each crash."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ask(self, path: Path, request: bytes) -> Answer:
        with self._lock:
            try:
                return _receive(path, self._send(path, request))
            except (_Crashed, _Refused) as error:
                if isinstance(error, _Crashed):
                    self._end()
                raise InvalidAudio(f"{path}: {error}") from None
            except BaseException:  # what is left of an answer must not be taken for the next
                self._end()
                raise

    def close(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _send(self, path: Path, request: bytes) -> subprocess.Popen[bytes]:
        while True:
            fresh = self._process is None
            if self._process is None:
                self._process = _start(path)
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(request)
                self._process.stdin.flush()
                return self._process
            except OSError:  # it has ended since the file before
                if fresh:
                    raise
                self._end()


class _Crashed(Exception):
    """The process ended, or answers no more."""


class _Refused(Exception):
    """The process said what is wrong with the file."""


def _receive(path: Path, process: subprocess.Popen[bytes]) -> Answer:
    message, _ = _message(process, 0)
    if message.get("missing"):
        raise _missing(path)
    answer = Answer(message["rate"], message["channels"], message["stated_s"], message["slack_s"])
    while "decoded" not in message:
        message, block = _message(process, answer.channels)
        if block is not None:
            answer.blocks.append(block)
    answer.decoded, answer.reached_s, answer.over = message["decoded"], message["reached_s"], message["over"]
    return answer


def _message(process: subprocess.Popen[bytes], channels: int) -> tuple[dict[str, Any], Block | None]:
    """Read a line of the answer, and the samples that come with it."""
    out: Any = process.stdout
    if not (line := out.readline()).endswith(b"\n"):
        raise _Crashed(_why(process.wait()))
    message: dict[str, Any] = json.loads(line)
    if "error" in message and not message.get("missing"):
        raise _Refused(message["error"])
    if "samples" not in message:
        return message, None
    block: Block = np.empty((channels, message["samples"]), np.float32)
    if out.readinto(block) != block.nbytes:
        raise _Crashed(_why(process.wait()))
    return message, block


def _start(path: Path) -> subprocess.Popen[bytes]:
    if importlib.util.find_spec("av") is None:
        raise _missing(path)
    # -P: neither the working directory nor areca's own folder, which has a types.py, may hide the standard library.
    command = [sys.executable, "-P", str(_PROGRAM)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # numpy only copies there
    process = subprocess.Popen(
        command,
        bufsize=_PIPE_BYTES,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    with contextlib.suppress(AttributeError, OSError):  # Linux: a file's samples in one go, instead of in turns
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)  # type: ignore[arg-type]
    return process


def _missing(path: Path) -> MissingDependency:
    return MissingDependency(f"{path}: reading it needs PyAV: pip install 'areca[formats]'")


def _why(code: int) -> str:
    if code == -signal.SIGPROF:
        return "takes the decoder too long: damaged, or made to keep it busy"
    if code < 0:
        return f"crashes the decoder ({signal.Signals(-code).name}): damaged"
    return f"ends the decoder (exit {code}): damaged"


_helper = _Helper()
atexit.register(close)
# A forked process has neither the helper nor the state of its lock: it starts a helper of its own.
os.register_at_fork(after_in_child=_helper.__init__)  # type: ignore[misc]
