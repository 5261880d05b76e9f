"""Apply a function of neighbouring frames to a sequence that arrives in pieces."""

from __future__ import annotations

from collections.abc import Callable

import torch


class Sliding:
    """A function of neighbouring frames, applied piece by piece: the results together are those of the whole sequence.

    Frames are in the last dimension but one. Computed frames are dropped as soon as no later one depends on them.

    Args:
        compute: maps frames ``[..., F, C]`` to as many results ``[..., F, D]``. It treats the ends of its input as the
            ends of the whole sequence, for example by padding with zeros.
        reach: frames on either side that a result depends on, at least 0.
        block: results come in multiples of this number, except the last. The frames on either side are computed again
            for each block, so larger blocks cost less time, but delay the results.
    """

    def __init__(self, compute: Callable[[torch.Tensor], torch.Tensor], reach: int, block: int = 1) -> None:
        self._compute, self._reach, self._block = compute, reach, block
        self._kept: torch.Tensor | None = None
        self._done = 0
        """Number of kept frames whose results have been returned."""

    def push(self, frames: torch.Tensor, *, last: bool = False) -> torch.Tensor | None:
        """Append frames, and return the results that they complete.

        Args:
            frames: the next frames ``[..., F, C]``, F >= 0.
            last: whether the sequence ends here, so that all remaining results follow.

        Returns:
            results ``[..., N, D]``, N >= 1; None: nothing is complete yet.
        """
        kept = frames if self._kept is None else torch.cat((self._kept, frames), -2)
        start, stop = self._done, kept.shape[-2]
        if not last:
            stop -= self._reach
            stop -= max(0, stop - start) % self._block
        if stop <= start:
            self._kept = kept
            return None
        results = self._compute(kept)[..., start:stop, :]
        first = max(0, stop - self._reach)
        self._kept, self._done = kept[..., first:, :], stop - first
        return results
