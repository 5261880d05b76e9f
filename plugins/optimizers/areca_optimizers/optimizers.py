"""Build the optimizers of torch and transformers with areca's options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import torch

from areca_optimizers import AdafactorConfig, AdamWConfig

C = TypeVar("C")


class _Builder(Generic[C]):
    def __init__(self, config: C) -> None:
        self._config = config

    @classmethod
    def load(cls, config: C, needs: Mapping[str, Any], files: Path | None, *, device: Any, dtype: Any) -> Self:
        """Return the optimizer's builder."""
        return cls(config)


class AdafactorOptimizer(_Builder[AdafactorConfig]):
    """Adafactor (arXiv 1804.04235) as AudioPaLM uses it: no relative steps, no parameter scaling."""

    def build(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        """Return transformers' Adafactor over `groups`."""
        from transformers.optimization import Adafactor

        config = self._config
        optimizer: torch.optim.Optimizer = Adafactor(  # type: ignore[no-untyped-call]
            groups,
            lr=learning_rate,
            clip_threshold=config.clip_threshold,
            decay_rate=config.decay_rate,
            beta1=config.beta1,
            scale_parameter=False,
            relative_step=False,
        )
        return optimizer


class AdamWOptimizer(_Builder[AdamWConfig]):
    """AdamW (arXiv 1711.05101)."""

    def build(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        """Return torch's AdamW over `groups`."""
        return torch.optim.AdamW(groups, lr=learning_rate, betas=self._config.betas, eps=self._config.eps)
