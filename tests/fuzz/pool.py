"""The parent's side: workers that are watched and replaced, and what came of each input."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_READY_S = 300.0
"""Seconds to import everything and make seed files, which is not the input's time."""
_KEPT = 3
"""Inputs of one kind of failure that are kept."""
ROOT = Path(__file__).parents[2]
HANG_S, MOST_BYTES = 20.0, 2e9
"""What an input may take."""
_FRAME = re.compile(r'File "([^"]+)", line (\d+) in')


class Lane:
    """One worker process after another, in one folder.

    Args:
        root: the folder.
        hang_s: seconds that an input may take.
        most_bytes: memory that an input may take, with what the worker has loaded.
    """

    def __init__(self, root: Path, hang_s: float = HANG_S, most_bytes: float = MOST_BYTES) -> None:
        self.root, self._hang_s, self._most_bytes = root, hang_s, most_bytes
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """Give a worker an input and return what came of it."""
        process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(json.dumps(command).encode() + b"\n")
        process.stdin.flush()
        started = self._line(process, _READY_S)
        if started is None:
            raise RuntimeError(f"a worker cannot start on {command}:\n{self._log()[-4000:]}")
        return self._line(process, self._hang_s) or self._ended(process)

    def _start(self) -> subprocess.Popen[bytes]:
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "log").write_bytes(b"")
        offline = {"HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1", "FUZZ_SECRET": "fuzz-secret", "COLUMNS": "80"}
        removed = ("ARECA_DEBUG", "ARECA_PLUGINS", "ARECA_TRACE", "XDG_CACHE_HOME")
        environment = {k: v for k, v in os.environ.items() if k not in removed} | offline
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", str(self.root), str(self._hang_s), str(self._most_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # a line that waits in a buffer is not seen by select, and its input would seem to hang
            env=environment,
            cwd=ROOT,
            start_new_session=True,  # so that what it starts ends with it
        )
        return self._process

    def _line(self, process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any] | None:
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], seconds)[0]:
            return None
        line = process.stdout.readline()  # written whole
        return json.loads(line) if line.endswith(b"\n") else None

    def _ended(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Say how a worker failed to answer, and end it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
        code = process.returncode
        self.close()
        log = self._log()
        how = (
            "hangs" if code is None else f"killed by {signal.Signals(-code).name}" if code < 0 else f"exits with {code}"
        )
        own = [(Path(f).name, n) for f, n in _FRAME.findall(log) if f.startswith((f"{ROOT}/core", f"{ROOT}/plugins"))]
        place = f" at {':'.join(own[0])}" if own else ""
        return {"verdict": "failed", "kind": how + place, "detail": log[-6000:], "peak": 0}

    def _log(self) -> str:
        return (self.root / "log").read_bytes()[-100_000:].decode(errors="replace")

    def close(self) -> None:
        """End the worker and what it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@dataclass
class Tally:
    """What came of a target's inputs."""

    counts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    peak_bytes: int = 0

    def line(self, target: str) -> str:
        """Return a line of the summary."""
        of = self.counts
        return (
            f"{target:<11} {of.total():>6} inputs  {of['rejected']:>6} rejected  {of['accepted']:>6} accepted  "
            f"{of['failed']:>5} failures  {self.peak_bytes / 1e9:.1f} GB"
        )


class Run:
    """Inputs of some targets, run by some workers until none is left or the time is over.

    Args:
        numbers: how many inputs of each target.
        seed: of all inputs.
        keep: where failing inputs go.
        work: a folder for the workers.
    """

    def __init__(self, numbers: dict[str, int], seed: int, keep: Path, work: Path) -> None:
        self.tallies = {target: Tally() for target in numbers}
        self._seed, self._keep, self._work = seed, keep, work
        self._left, self._lock = _mixed(numbers), threading.Lock()
        self._errors: list[BaseException] = []

    def go(self, workers: int, stop_s: float) -> None:
        """Run until `stop_s` (of `time.monotonic`) at the latest."""
        threads = [threading.Thread(target=self._lane, args=(n, stop_s)) for n in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _lane(self, number: int, stop_s: float) -> None:
        lane = Lane(self._work / str(number))
        try:
            while time.monotonic() < stop_s and not self._errors:
                with self._lock:
                    target, index = next(self._left, (None, 0))
                if target is None:
                    return
                seed = f"{self._seed}/{target}/{index}"
                said = lane.ask({"target": target, "seed": seed})
                with self._lock:
                    self._note(target, seed, said, lane.root / "current")
        except BaseException as error:
            self._errors.append(error)
        finally:
            lane.close()

    def _note(self, target: str, seed: str, said: dict[str, Any], current: Path) -> None:
        tally = self.tallies[target]
        tally.counts[said["verdict"]] += 1
        tally.peak_bytes = max(tally.peak_bytes, said["peak"])
        if said["verdict"] != "failed":
            return
        tally.kinds[said["kind"]] += 1
        if tally.kinds[said["kind"]] <= _KEPT:
            folder = self._keep / seed.replace("/", "-")
            shutil.copytree(current, folder, dirs_exist_ok=True)
            (folder / "failure.txt").write_text(f"{said['kind']}\n\n{said['detail']}\n", errors="backslashreplace")
            print(f"{target}: {said['kind']}\n  python -m tests.fuzz --replay {folder}", flush=True)


def _mixed(numbers: dict[str, int]) -> Iterator[tuple[str, int]]:
    """Yield each target's indices, all targets at the same pace, so that a run that is cut short has tried all."""
    places = [((index + 0.5) / number, target, index) for target, number in numbers.items() for index in range(number)]
    return iter([(target, index) for _, target, index in sorted(places)])
