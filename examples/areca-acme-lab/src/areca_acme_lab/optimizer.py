"""The optimizer `muon`: torch's Muon for matrices, AdamW for vectors, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from areca_acme_lab import MuonConfig


class MuonBuilder:
    """The target of the component `muon`, and its instance."""

    def __init__(self, momentum: float) -> None:
        self._momentum = momentum

    @classmethod
    def load(cls, config: MuonConfig, needs: Any, files: Path | None, *, device: Any, dtype: Any) -> MuonBuilder:
        """Return the builder."""
        return cls(config.momentum)

    def build(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        """Return an optimizer of the parameters in `groups`."""
        return MuonAndAdamW(groups, learning_rate, self._momentum)


class MuonAndAdamW(torch.optim.Optimizer):
    """Muon (which takes only matrices) and AdamW side by side.

    Args:
        groups: ``{"params": [...], "weight_decay": ...}`` each.
        lr: of both; Muon's updates are scaled to the size of AdamW's.
        momentum: of Muon.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, momentum: float) -> None:
        self._parts: list[torch.optim.Optimizer] = []
        if matrices := _only(groups, lambda p: p.ndim == 2):
            self._parts.append(torch.optim.Muon(matrices, lr=lr, momentum=momentum, adjust_lr_fn="match_rms_adamw"))
        if others := _only(groups, lambda p: p.ndim != 2):
            self._parts.append(torch.optim.AdamW(others, lr=lr))
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Let both work on this optimizer's groups and state, which a schedule changes and a checkpoint holds."""
        rest = self.param_groups
        for part in self._parts:
            count = len(part.param_groups)
            part.param_groups, rest = rest[:count], rest[count:]
            part.state = self.state

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter."""
        for part in self._parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        super().load_state_dict(state_dict)
        self._share()


def _only(groups: list[dict[str, Any]], wanted: Callable[[torch.Tensor], bool]) -> list[dict[str, Any]]:
    """Return the groups with the parameters that are `wanted`, without empty ones."""
    chosen = [{**group, "params": [p for p in group["params"] if wanted(p)]} for group in groups]
    return [group for group in chosen if group["params"]]
