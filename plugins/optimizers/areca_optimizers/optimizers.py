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
        optimizer.register_step_pre_hook(_create_sharded_state)
        return optimizer


class AdamWOptimizer(Configured[AdamWConfig]):
    """AdamW (arXiv 1711.05101)."""

    def build(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        """Return torch's AdamW over `groups`."""
        config, fused = self.config, self.config.fused or None  # None: torch chooses among the other kernels
        return torch.optim.AdamW(groups, lr=learning_rate, betas=config.betas, eps=config.eps, fused=fused)


@torch.no_grad()
def _create_sharded_state(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Create the first state of sharded parameters, for which Adafactor itself would create whole tensors."""
    from torch.distributed.tensor import DTensor, Replicate

    def mean(zeros: torch.Tensor, dim: int) -> Any:
        """Return zeros that are sharded as a mean is, after the processes have added up their parts of it."""
        reduced: Any = zeros.mean(dim)
        return reduced.redistribute(placements=[Replicate() if x.is_partial() else x for x in reduced.placements])

    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if not isinstance(parameter.grad, DTensor) or optimizer.state[parameter]:
                continue
            zeros = torch.zeros_like(parameter.grad)
            state: dict[str, Any] = {"step": 0, "RMS": 0}
            if group["beta1"] is not None:
                state["exp_avg"] = zeros.clone()
            if zeros.ndim > 1:
                state |= {"exp_avg_sq_row": mean(zeros, -1), "exp_avg_sq_col": mean(zeros, -2)}
            else:
                state["exp_avg_sq"] = zeros
            optimizer.state[parameter].update(state)
