"""The stream pattern `chunks`: within a chunk of frames, coarse codes come first. Arithmetic only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from areca.patterns import OrderOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks(OrderOptions):
    """The options of `chunks`, and its order: chunk by chunk, the first stream, then the second, and so on."""

    frames: int = 4
    """Frames in a chunk; the last chunk may be shorter."""

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"frames must be at least 1, got {self.frames}")

    def sequence(self, per_frame: Sequence[int], frames: int) -> list[int]:
        """Return the stream of each position, for `frames` frames of ``per_frame[k]`` codes of stream k."""
        starts = range(0, frames, self.frames)
        lengths = [min(self.frames, frames - start) for start in starts]
        return [k for length in lengths for k, n in enumerate(per_frame) for _ in range(n * length)]

    def turn(self, per_frame: Sequence[int], frames: int) -> int:
        """Return the first position at which the sequence of `frames` frames differs from every longer one."""
        full = (frames - 1) // self.frames * self.frames  # frames before the last chunk
        last = frames - full
        return sum(per_frame) * full + (sum(per_frame) if last == self.frames else per_frame[0]) * last
