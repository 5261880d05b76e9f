"""The clips that a HiFi-GAN is trained on: prepared in chunks that a resumed call reuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

import torch
from safetensors.torch import load_file

from areca.errors import InvalidManifest
from areca.fitting.resume import cached_chunks
from areca.fitting.sampling import Recording
from areca.job import Job

CHUNK = 32
"""Recordings that are prepared together."""


class Clip(Protocol):
    """A recording with what the generator makes it from."""

    @property
    def samples(self) -> torch.Tensor:
        """Its samples, ``[T]``."""


C = TypeVar("C", bound=Clip)


def read_clips(
    selected: Sequence[Recording],
    compute: Callable[[Sequence[Recording]], dict[str, torch.Tensor]],
    split: Callable[[Mapping[str, torch.Tensor]], Iterable[C]],
    job: Job,
    *,
    segment: int,
    part: str,
    option: str,
) -> list[C]:
    """Return the clips that are at least as long as a segment; clips of an interrupted call are reused.

    Args:
        selected: the recordings.
        compute: prepares the clips of up to `CHUNK` recordings, as tensors.
        split: returns the clips in such tensors.
        job: receives the progress; its work folder holds the tensors.
        segment: samples in a segment.
        part: name of the component, for the message.
        option: the option that sets the length of a segment, for the message.

    Raises:
        InvalidManifest: no recording is as long as a segment.
    """
    chunks = (selected[start : start + CHUNK] for start in range(0, len(selected), CHUNK))
    clips: list[C] = []
    for path in cached_chunks(job.work / f"clips-{CHUNK}", chunks, compute):
        clips += split(load_file(path))
        job.progress(len(clips), len(selected), "recordings read")
    if long := [clip for clip in clips if len(clip.samples) >= segment]:
        return long
    longest = max(len(clip.samples) for clip in clips)
    raise InvalidManifest(
        f"{part}: expected recordings of at least {segment} samples, the longest has {longest}; give a smaller {option}"
    )
