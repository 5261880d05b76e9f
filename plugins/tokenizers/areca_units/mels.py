"""Log-mels of a training corpus, computed once: computing them in every epoch would cost a third of each step."""

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
from areca_units.features import compute_mel, read_speech

_CHUNK = 256
_WORKERS = 2


class Mels:
    """Log-mels of rows, read from files on demand. The files take half the space of 16-bit audio.

    Args:
        paths: safetensors files of `_CHUNK` rows each, with ``mels``, float16 ``[frames, 80]``, and ``lengths``.

    Attributes:
        lengths: frames of each row.
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


def compute_mels(data: Manifest, rows: Sequence[Utterance], job: Job) -> Mels:
    """Compute the log-mels of `rows`, except those that an interrupted call has already computed.

    Args:
        data: the manifest.
        rows: some of its rows.
        job: reports the progress; its work folder holds the files.
    """
    paths: list[Path] = []
    chunks = (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))
    with ThreadPoolExecutor(_WORKERS) as pool:
        for path in cached_chunks(job.work / f"mels-{_CHUNK}", chunks, partial(_compute_chunk, data, pool)):
            paths.append(path)
            job.progress(min(_CHUNK * len(paths), len(rows)), len(rows), "log-mels")
    return Mels(paths)


def _compute_chunk(data: Manifest, pool: ThreadPoolExecutor, rows: Sequence[Utterance]) -> dict[str, torch.Tensor]:
    mels = list(pool.map(lambda row: compute_mel(read_speech(data, row)).half(), rows))
    return {"mels": torch.cat(mels), "lengths": torch.tensor([len(x) for x in mels])}
