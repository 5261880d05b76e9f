"""Learning-rate schedules: plain arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from areca_optimizers import DecayConfig


class Constant:
    """Keep the learning rate at its highest."""

    @classmethod
    def load(cls, config: Any, needs: Mapping[str, Any], files: Path | None, *, device: Any, dtype: Any) -> Self:
        """Return the schedule."""
        return cls()

    def factor(self, step: int, steps: int) -> float:
        """Return 1."""
        return 1.0


class _Decay:
    """Lower the learning rate from its highest to `config.last` of it."""

    def __init__(self, config: DecayConfig) -> None:
        self._last = config.last

    @classmethod
    def load(
        cls, config: DecayConfig, needs: Mapping[str, Any], files: Path | None, *, device: Any, dtype: Any
    ) -> Self:
        """Return the schedule."""
        return cls(config)

    def factor(self, step: int, steps: int) -> float:
        """Return the share of the highest learning rate at `step` of `steps`."""
        return self._last + (1.0 - self._last) * self._left(step, steps)

    def _left(self, step: int, steps: int) -> float:
        """Return what is left of the way down, from 1 to 0."""
        raise NotImplementedError


class Cosine(_Decay):
    """Lower the learning rate along half a cosine (arXiv 1608.03983, section 3, without restarts)."""

    def _left(self, step: int, steps: int) -> float:
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * (step / max(1, steps)))))


class Linear(_Decay):
    """Lower the learning rate along a straight line."""

    def _left(self, step: int, steps: int) -> float:
        return max(0.0, (steps - step) / max(1, steps))
