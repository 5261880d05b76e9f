"""Log-mels of a training corpus, computed once: to decode and transform in every epoch costs a third of a step."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from areca.fitting.resume import cached_chunks
from areca.interfaces import Job
from areca.manifest import Manifest, Utterance
from areca_units.features import mel_of, speech

_CHUNK = 256
_WORKERS = 2


class Mels:
    """Log-mels of rows in files on disk, half the size of their 16-bit audio; memory holds what is being read.

    Args:
        paths: of the files, `_CHUNK` rows each: ``mels``, float16 ``[frames, 80]``, and the rows' ``lengths``.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        files: list[Any] = [safe_open(path, "pt") for path in paths]
        self._mels = [file.get_slice("mels") for file in files]
        lengths = [file.get_tensor("lengths") for file in files]
        self._ends = [x.cumsum(0).tolist() for x in lengths]
        self.lengths: list[int] = torch.cat(lengths).tolist()

    def __getitem__(self, i: int) -> torch.Tensor:
        """Return the log-mel of row i, float32 ``[frames, 80]``."""
        chunk, row = divmod(i, _CHUNK)
        end = self._ends[chunk][row]
        mel: torch.Tensor = self._mels[chunk][end - self.lengths[i] : end]
        return mel.float()


def mels_of(data: Manifest, rows: Sequence[Utterance], job: Job) -> Mels:
    """Return the log-mels of `rows`, computing those that an interrupted call did not leave.

    Args:
        data: the manifest.
        rows: some of its rows.
        job: told the progress; its folder holds the files.
    """
    paths: list[Path] = []
    chunks = (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))
    with ThreadPoolExecutor(_WORKERS) as pool:
        for path in cached_chunks(job.work / f"mels-{_CHUNK}", chunks, partial(_mels, data, pool)):
            paths.append(path)
            job.progress(min(_CHUNK * len(paths), len(rows)), len(rows), "log-mels")
    return Mels(paths)


def _mels(data: Manifest, pool: ThreadPoolExecutor, rows: Sequence[Utterance]) -> dict[str, torch.Tensor]:
    mels = list(pool.map(lambda row: mel_of(speech(data, row)).half(), rows))
    return {"mels": torch.cat(mels), "lengths": torch.tensor([len(x) for x in mels])}
