"""Build the optimizers of torch and transformers with areca's options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch

from areca_optimizers import AdafactorConfig, AdamWConfig


class AdafactorOptimizer:
    """Adafactor (arXiv 1804.04235) as AudioPaLM uses it: no relative steps, no parameter scaling."""

    def __init__(self, config: AdafactorConfig) -> None:
        self._config = config

    @classmethod
    def load(
        cls, config: AdafactorConfig, needs: Mapping[str, Any], files: Path | None, *, device: Any, dtype: Any
    ) -> Self:
        """Return the optimizer's builder."""
        return cls(config)

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


class AdamWOptimizer:
    """AdamW (arXiv 1711.05101)."""

    def __init__(self, config: AdamWConfig) -> None:
        self._config = config

    @classmethod
    def load(
        cls, config: AdamWConfig, needs: Mapping[str, Any], files: Path | None, *, device: Any, dtype: Any
    ) -> Self:
        """Return the optimizer's builder."""
        return cls(config)

    def build(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        """Return torch's AdamW over `groups`."""
        return torch.optim.AdamW(groups, lr=learning_rate, betas=self._config.betas, eps=self._config.eps)
