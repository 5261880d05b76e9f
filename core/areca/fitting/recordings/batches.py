"""Write recordings in batches, several at a time; finished batches of an interrupted job are reused."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from areca.audio import write
from areca.fitting.unfinished import SEAL, build_once
from areca.interfaces import Job
from areca.types import Audio

T = TypeVar("T")
R = TypeVar("R")
B = TypeVar("B", bound=Sized)


def run_batches(
    batches: Sequence[B],
    build: Callable[[int, B], R],
    job: Job,
    *,
    workers: int,
    unit: str,
) -> list[R]:
    """Call `build` with the number and the content of each batch, and return the results in the order of the batches.

    Args:
        batches: the batches; the length of each is the number of its items.
        build: builds one batch. Several threads call it.
        job: receives the progress.
        workers: number of batches to build at the same time.
        unit: name of the items in progress messages.
    """
    total, done = sum(map(len, batches)), 0
    results = []
    with ThreadPoolExecutor(workers) as pool:
        for batch, result in zip(batches, pool.map(build, itertools.count(), batches), strict=True):
            results.append(result)
            done += len(batch)
            job.progress(done, total, unit)
    return results


def write_batches(
    batches: Sequence[Sequence[tuple[str, T]]],
    render: Callable[[list[T]], Iterable[Audio]],
    job: Job,
    *,
    workers: int,
    unit: str,
) -> None:
    """Write every file of `batches`, except those of batches that an interrupted job finished and that are intact.

    Args:
        batches: the path of each file, relative to the job's directory, and its content. An interrupted job must be
            given the same batches again.
        render: given the contents of a batch, returns their audio in order. Several threads call it.
        job: its directory receives the files, and its work folder holds the batches' seals.
        workers: number of batches to write at the same time.
        unit: name of the files in progress messages.
    """
    for folder in sorted({Path(path).parent for batch in batches for path, _ in batch}):
        (job.directory / folder).mkdir(parents=True, exist_ok=True)

    def write_batch(number: int, batch: Sequence[tuple[str, T]]) -> None:
        paths = [job.directory / path for path, _ in batch]

        def write_files() -> None:
            for path, audio in zip(paths, render([content for _, content in batch]), strict=True):
                write(path, audio)

        build_once(job.work / f"batch-{number:06}.{SEAL}", paths, write_files)

    run_batches(batches, write_batch, job, workers=workers, unit=unit)
