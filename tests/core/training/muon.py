"""A plugin of one file: Muon for matrices and AdamW for the rest, a schedule, and a callback. No package, no core."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from areca import Component, Kind, hookimpl
from areca.specs import OptimizerSpec, ScheduleSpec

ARECA_PLUGIN_API = 1


@dataclass(frozen=True)
class Config:
    """Options."""

    momentum: float = 0.95
    """Decay of Muon's momentum."""


def optimizer_spec(config: Config, needs: Mapping[str, Any]) -> OptimizerSpec:
    return OptimizerSpec(lambda shape: math.prod(shape) * (1 if len(shape) == 2 else 2))


def schedule_spec(config: Config, needs: Mapping[str, Any]) -> ScheduleSpec:
    return ScheduleSpec()


class _Loaded:
    def __init__(self, config: Config) -> None:
        self.config = config

    @classmethod
    def load(cls, config: Config, needs: Any, files: Any, *, device: Any, dtype: Any) -> Any:
        return cls(config)


class Muon(_Loaded):
    def build(self, groups: list[dict[str, Any]], learning_rate: float) -> Any:
        import torch

        class Both(torch.optim.Optimizer):
            def __init__(self) -> None:
                parts = [
                    [group | {"params": [p for p in group["params"] if (p.ndim == 2) == flat]} for group in groups]
                    for flat in (True, False)
                ]
                matrices, others = ([group for group in part if group["params"]] for part in parts)
                self.inner: list[torch.optim.Optimizer] = [torch.optim.AdamW(others, lr=learning_rate)]
                self.inner += [torch.optim.Muon(matrices, lr=learning_rate, momentum=momentum)]
                super().__init__([group for inner in self.inner for group in inner.param_groups], {})
                self.share()

            def share(self) -> None:
                start = 0
                for inner in self.inner:
                    stop = start + len(inner.param_groups)
                    inner.param_groups, inner.state, start = self.param_groups[start:stop], self.state, stop

            def step(self, closure: Any = None) -> None:  # type: ignore[override]
                for inner in self.inner:
                    inner.step()

            def load_state_dict(self, state_dict: Any) -> None:
                super().load_state_dict(state_dict)
                self.share()

        momentum = self.config.momentum
        return Both()


class InverseRoot(_Loaded):
    def factor(self, step: int, steps: int) -> float:
        return 1 / math.sqrt(1 + step)


@hookimpl
def areca_components() -> Iterable[Component]:
    row: dict[str, Any] = {"config": Config, "summary": "made for a test"}
    spec = f"{__name__}:optimizer_spec"
    yield Component(kind=Kind.OPTIMIZER, name="muon", spec=spec, target=f"{__name__}:Muon", **row)
    spec = f"{__name__}:schedule_spec"
    yield Component(kind=Kind.SCHEDULE, name="inverse-root", spec=spec, target=f"{__name__}:InverseRoot", **row)


@hookimpl
def areca_training_callbacks(run: str, directory: Path) -> Iterable[Any]:
    from transformers import TrainerCallback

    class Watching(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            control.should_training_stop = True  # in vain: it is a copy
            directory.mkdir(parents=True, exist_ok=True)
            with (directory / "watched.txt").open("a") as file:
                file.write(f"{run} {state.global_step} {sorted(logs)}\n")
            if run == "failing":
                raise OSError("no room left")

    yield Watching()
