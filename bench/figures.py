"""Tools for the scripts in this folder: figures with limits, alternating timing, peak memory, child processes."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A measured number and its limit, if any: a minimum (`>=`) or a maximum (`<=`)."""

    name: str
    value: float
    unit: str
    limit: tuple[str, float] | None = None
    note: str = ""

    @property
    def met(self) -> bool:
        if self.limit is None:
            return True
        sign, bound = self.limit
        return self.value >= bound if sign == ">=" else self.value <= bound

    def __str__(self) -> str:
        limit = (
            "" if self.limit is None else f"  ({self.limit[0]} {self.limit[1]:g}: {'met' if self.met else 'MISSED'})"
        )
        return f"{self.name:<52} {self.value:9.3g} {self.unit}{limit}{'  ' + self.note if self.note else ''}"


def show(figures: Sequence[Figure]) -> None:
    for figure in figures:
        print(figure, flush=True)


def alternate(first: Callable[[], float], second: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """Measure two things alternately, so that other load on the machine affects both.

    Returns:
        The medians of both, and the median over the rounds of the ratio first / second.
    """
    pairs = []
    for number in range(rounds):
        # The order alternates too, because caches and clock speeds favour the second measurement.
        a, b = (first(), second()) if number % 2 else reversed((second(), first()))
        pairs.append((a, b))
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def read_peak_mb() -> float:
    """Return the peak memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_child(module: str, *arguments: str) -> str:
    """Run a module of this folder in a separate process; return the last line that it printed."""
    command = [sys.executable, "-m", module, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    if finished.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{finished.stderr[-2000:]}")
    return finished.stdout.strip().splitlines()[-1]


def measure_s(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s
