"""Learning-rate schedules. Arithmetic only."""

from __future__ import annotations

import math

from areca.component import Configured
from areca_optimizers import ConstantConfig, DecayConfig


class Constant(Configured[ConstantConfig]):
    """A schedule that keeps the learning rate at its peak."""

    def factor(self, step: int, steps: int) -> float:
        """Return 1."""
        return 1.0


class _Decay(Configured[DecayConfig]):
    """A schedule that lowers the learning rate from its peak to a share `config.last` of it."""

    def factor(self, step: int, steps: int) -> float:
        """Return the factor on the peak learning rate at `step` of `steps`."""
        return self.config.last + (1.0 - self.config.last) * self._remaining(step, steps)

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
