"""Log-mels of a training corpus, computed once: to decode and transform in every epoch costs a third of a step."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch

from areca.interfaces import Job
from areca.manifest import Manifest, Utterance
from areca_units.features import MEL, mel_of, speech

_CHUNK = 256
_WORKERS = 2


class Mels:
    """Log-mels of rows in one file on disk, half the size of their 16-bit audio; memory holds what is being read.

    Args:
        path: of the file, float16 ``[frames, 80]``.
        lengths: frames of each row, in the file's order.
    """

    def __init__(self, path: Path, lengths: Sequence[int]) -> None:
        self.lengths = list(lengths)
        self._ends = np.cumsum(self.lengths)
        self._frames = np.memmap(path, np.float16, "r").reshape(-1, MEL.mels)

    def __getitem__(self, i: int) -> torch.Tensor:
        """Return the log-mel of row i, float32 ``[frames, 80]``."""
        end = self._ends[i]
        return torch.from_numpy(self._frames[end - self.lengths[i] : end].astype(np.float32))


def mels_of(data: Manifest, rows: Sequence[Utterance], path: Path, job: Job) -> Mels:
    """Return the log-mels of `rows`, computing them, or reading what an interrupted call left in `path`.

    Args:
        data: the manifest.
        rows: some of its rows.
        path: the file; its lengths lie beside it, written last.
        job: told the progress.
    """
    told = path.with_suffix(".json")
    if not told.exists():
        draft = told.with_suffix(".partial")
        draft.write_text(json.dumps(_write(data, rows, path, job)), encoding="utf-8")
        os.replace(draft, told)
    return Mels(path, json.loads(told.read_text(encoding="utf-8")))


def remove_mels(path: Path) -> None:
    """Delete the files of `mels_of`."""
    for file in (path, path.with_suffix(".json")):
        file.unlink(missing_ok=True)


def _write(data: Manifest, rows: Sequence[Utterance], path: Path, job: Job) -> list[int]:
    lengths: list[int] = []
    with path.open("wb") as file, ThreadPoolExecutor(_WORKERS) as pool:
        for start in range(0, len(rows), _CHUNK):
            for mel in pool.map(partial(_mel, data), rows[start : start + _CHUNK]):
                file.write(mel.tobytes())
                lengths.append(len(mel))
            job.progress(len(lengths), len(rows), "log-mels")
        os.fsync(file.fileno())
    return lengths


def _mel(data: Manifest, row: Utterance) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    return mel_of(speech(data, row)).half().numpy()
