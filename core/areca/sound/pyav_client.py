"""Decode with PyAV in a worker process: if a damaged file crashes the decoder, the caller gets an error."""

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
_PROGRAM = Path(__file__).with_name("pyav_worker.py")
Block = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(slots=True)
class Answer:
    """The worker's answer to a request.

    Args:
        sample_rate_hz: samples per second.
        channels: number of channels.
        stated_s: length that the file states, in seconds; None if it states none.
        slack_s: permitted difference between the stated and the decoded length, in seconds.
        blocks: the requested samples, float32 ``[C, n]`` each.
        decoded: samples per channel from the start of the file to the position where decoding ended.
        reached_s: end of the last packet read, video included, in seconds from the start of the file.
        over: whether the request exceeds the permitted number of samples.
    """

    sample_rate_hz: int
    channels: int
    stated_s: float | None
    slack_s: float
    blocks: list[Block] = field(default_factory=list)
    decoded: int = 0
    reached_s: float = 0.0
    over: bool = False


def decode(path: Path, request: Mapping[str, Any]) -> Answer:
    """Decode a file in the worker process.

    Args:
        path: the file, for messages.
        request: see `areca.sound.pyav_worker`.

    Raises:
        InvalidAudio: the file is not audio, crashes the decoder, or takes too long.
        MissingDependency: PyAV is not installed.
    """
    return _worker.decode(path, json.dumps(request).encode() + b"\n")


def close() -> None:
    """End the worker process; the next request starts a new one."""
    _worker.close()


class _Worker:
    """The worker process, started on the first request and after each crash."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def decode(self, path: Path, request: bytes) -> Answer:
        with self._lock:
            try:
                return _receive(path, self._send(path, request))
            except (_Crashed, _Refused) as error:
                if isinstance(error, _Crashed):
                    self._end()
                raise InvalidAudio(f"{path}: {error}") from None
            except BaseException:  # the rest of this answer must not be read as the next one
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
                self._process = _start_process(path)
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(request)
                self._process.stdin.flush()
                return self._process
            except OSError:  # the process ended after the previous request
                if fresh:
                    raise
                self._end()


class _Crashed(Exception):
    """The worker process ended."""


class _Refused(Exception):
    """The worker reported an error in the file."""


def _receive(path: Path, process: subprocess.Popen[bytes]) -> Answer:
    message, _ = _read_message(process, 0)
    if message.get("missing"):
        raise _missing_pyav(path)
    answer = Answer(message["rate"], message["channels"], message["stated_s"], message["slack_s"])
    while "decoded" not in message:
        message, block = _read_message(process, answer.channels)
        if block is not None:
            answer.blocks.append(block)
    answer.decoded, answer.reached_s, answer.over = message["decoded"], message["reached_s"], message["over"]
    return answer


def _read_message(process: subprocess.Popen[bytes], channels: int) -> tuple[dict[str, Any], Block | None]:
    """Read one line of the answer and the samples that follow it, if any."""
    out: Any = process.stdout
    if not (line := out.readline()).endswith(b"\n"):
        raise _Crashed(_describe_exit(process.wait()))
    message: dict[str, Any] = json.loads(line)
    if "error" in message and not message.get("missing"):
        raise _Refused(message["error"])
    if "samples" not in message:
        return message, None
    block: Block = np.empty((channels, message["samples"]), np.float32)
    if out.readinto(block) != block.nbytes:
        raise _Crashed(_describe_exit(process.wait()))
    return message, block


def _start_process(path: Path) -> subprocess.Popen[bytes]:
    if importlib.util.find_spec("av") is None:
        raise _missing_pyav(path)
    # -P keeps modules in the working directory and in areca's folder (types.py) from hiding the standard library.
    command = [sys.executable, "-P", str(_PROGRAM)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # the worker uses NumPy only to copy
    process = subprocess.Popen(
        command,
        bufsize=_PIPE_BYTES,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    with contextlib.suppress(AttributeError, OSError):  # on Linux, a large pipe saves switches between the processes
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)  # type: ignore[arg-type]
    return process


def _missing_pyav(path: Path) -> MissingDependency:
    return MissingDependency(f"{path}: reading this format needs PyAV: pip install 'areca[formats]'")


def _describe_exit(code: int) -> str:
    if code == -signal.SIGPROF:
        return "takes the decoder too long: the file is damaged or malicious"
    if code < 0:
        return f"crashes the decoder ({signal.Signals(-code).name}): the file is damaged"
    return f"ends the decoder (exit {code}): the file is damaged"


_worker = _Worker()
atexit.register(close)
# A forked child cannot use the parent's worker or lock; it starts its own worker.
os.register_at_fork(after_in_child=_worker.__init__)  # type: ignore[misc]
