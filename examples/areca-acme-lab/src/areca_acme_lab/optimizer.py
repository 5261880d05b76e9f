"""The optimizer `muon`: torch's Muon for matrices, AdamW for vectors, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from areca.component import Configured

from areca_acme_lab import MuonConfig


class MuonBuilder(Configured[MuonConfig]):
    """The target of the component `muon`, and its instance."""

    def build(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        """Return an optimizer of the parameters in `groups`."""
        return MuonAndAdamW(groups, learning_rate, self.config.momentum)


class MuonAndAdamW(torch.optim.Optimizer):
    """An optimizer that runs Muon, which takes only matrices, and AdamW on all other parameters.

    Args:
        groups: parameter groups, ``{"params": [...], "weight_decay": ...}``.
        lr: learning rate of both; Muon's updates are scaled to the size of AdamW's.
        momentum: momentum of Muon.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, momentum: float) -> None:
        self._parts: list[torch.optim.Optimizer] = []
        if matrices := _select(groups, lambda p: p.ndim == 2):
            self._parts.append(torch.optim.Muon(matrices, lr=lr, momentum=momentum, adjust_lr_fn="match_rms_adamw"))
        if others := _select(groups, lambda p: p.ndim != 2):
            self._parts.append(torch.optim.AdamW(others, lr=lr))
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share_state()

    def _share_state(self) -> None:
        """Share the groups, which a schedule changes, and the state, which a checkpoint holds, with both parts."""
        groups = self.param_groups
        for part in self._parts:
            count = len(part.param_groups)
            part.param_groups, groups = groups[:count], groups[count:]
            part.state = self.state

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter."""
        for part in self._parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""
        super().load_state_dict(state_dict)
        self._share_state()


def _select(groups: list[dict[str, Any]], is_selected: Callable[[torch.Tensor], bool]) -> list[dict[str, Any]]:
    """Return the groups with only the selected parameters, without empty groups."""
    selected = [{**group, "params": [p for p in group["params"] if is_selected(p)]} for group in groups]
    return [group for group in selected if group["params"]]
