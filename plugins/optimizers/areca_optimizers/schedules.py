"""Learning-rate schedules. Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from areca_optimizers import DecayConfig


class Constant:
    """A schedule that keeps the learning rate at its peak."""

    @classmethod
    def load(cls, config: Any, needs: Mapping[str, Any], files: Path | None, *, device: Any, dtype: Any) -> Self:
        """Return the schedule."""
        return cls()

    def factor(self, step: int, steps: int) -> float:
        """Return 1."""
        return 1.0


class _Decay:
    """A schedule that lowers the learning rate from its peak to a share `config.last` of it."""

    def __init__(self, config: DecayConfig) -> None:
        self._last = config.last

    @classmethod
    def load(
        cls, config: DecayConfig, needs: Mapping[str, Any], files: Path | None, *, device: Any, dtype: Any
    ) -> Self:
        """Return the schedule."""
        return cls(config)

    def factor(self, step: int, steps: int) -> float:
        """Return the factor on the peak learning rate at `step` of `steps`."""
        return self._last + (1.0 - self._last) * self._remaining(step, steps)

    def _remaining(self, step: int, steps: int) -> float:
        """Return the remaining share of the decay, from 1 to 0."""
        raise NotImplementedError


class Cosine(_Decay):
    """A decay along half a cosine (arXiv 1608.03983, section 3, without restarts)."""

    def _remaining(self, step: int, steps: int) -> float:
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * (step / max(1, steps)))))


class Linear(_Decay):
    """A decay along a straight line."""

    def _remaining(self, step: int, steps: int) -> float:
        return max(0.0, (steps - step) / max(1, steps))
