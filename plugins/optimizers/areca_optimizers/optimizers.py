"""Build the optimizers of torch and transformers with areca's options."""

from __future__ import annotations

from typing import Any

import torch

from areca.component import Configured
from areca_optimizers import AdafactorConfig, AdamWConfig


class AdafactorOptimizer(Configured[AdafactorConfig]):
    """Adafactor (arXiv 1804.04235) as AudioPaLM uses it: no relative steps, no parameter scaling."""

    def build(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        """Return transformers' Adafactor over `groups`."""
        from transformers.optimization import Adafactor

        config = self.config
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


class AdamWOptimizer(Configured[AdamWConfig]):
    """AdamW (arXiv 1711.05101)."""

    def build(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        """Return torch's AdamW over `groups`."""
        return torch.optim.AdamW(groups, lr=learning_rate, betas=self.config.betas, eps=self.config.eps)
