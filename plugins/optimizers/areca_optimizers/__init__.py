"""Optimizers and learning-rate schedules: Adafactor, AdamW; constant, cosine, linear."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from areca import Component, Kind, hookimpl, runtime
from areca.specs import OptimizerSpec, ScheduleSpec, Spec

ARECA_PLUGIN_API = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AdafactorConfig:
    """Options of `adafactor`; the defaults are AudioPaLM's (section 4.2) and Adafactor's (arXiv 1804.04235).

    Raises:
        ValueError: an option out of range.
    """

    clip_threshold: float = 1.0
    """Maximum root mean square of a parameter's update."""
    decay_rate: float = -0.8
    """Exponent of the step number, below 0: the mean of the squared gradients decays by 1 - step ** decay_rate."""
    beta1: float | None = None
    """Decay of the momentum; null: no momentum."""

    def __post_init__(self) -> None:
        if not (self.clip_threshold > 0 and self.decay_rate < 0 and 0 <= (self.beta1 or 0.0) < 1):
            raise ValueError(f"expected clip_threshold > 0, decay_rate < 0 and beta1 in [0, 1), got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdamWConfig:
    """Options of `adamw`.

    Raises:
        ValueError: an option out of range.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the gradients' mean and of the squared gradients' mean."""
    eps: float = 1e-8
    """Added to the denominator, the root of the squared gradients' mean."""
    fused: bool = runtime(False)
    """Update all weights in one kernel, which is faster on a GPU. A resumed training keeps the value of its start."""

    def __post_init__(self) -> None:
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be two numbers in [0, 1), got {self.betas}")
        if not self.eps > 0:
            raise ValueError(f"eps must be positive, got {self.eps}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantConfig:
    """Options of `constant`: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecayConfig:
    """Options of `cosine` and `linear`.

    Raises:
        ValueError: an option out of range.
    """

    last: float = 0.0
    """Learning rate at the last step, as a share of its peak."""

    def __post_init__(self) -> None:
        if not 0 <= self.last <= 1:
            raise ValueError(f"last must be in [0, 1], got {self.last}")


def adafactor_spec(config: AdafactorConfig, needs: Mapping[str, Spec]) -> OptimizerSpec:
    """Return the size of its state: a mean for each row and column of a matrix, and for each element of a vector."""

    def elements(shape: tuple[int, ...]) -> int:
        momentum = 0 if config.beta1 is None else math.prod(shape)
        if len(shape) < 2:
            return momentum + math.prod(shape)
        return momentum + math.prod(shape[:-1]) + math.prod((*shape[:-2], shape[-1]))

    return OptimizerSpec(elements)


def adamw_spec(config: AdamWConfig, needs: Mapping[str, Spec]) -> OptimizerSpec:
    """Return the size of its state: two values per element."""
    return OptimizerSpec(lambda shape: 2 * math.prod(shape))


def constant_spec(config: ConstantConfig, needs: Mapping[str, Spec]) -> ScheduleSpec:
    """Return the factor on the learning rate at the last step: 1."""
    return ScheduleSpec(last=1.0)


def decay_spec(config: DecayConfig, needs: Mapping[str, Spec]) -> ScheduleSpec:
    """Return the factor on the learning rate at the last step."""
    return ScheduleSpec(last=config.last)


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare the optimizers and the schedules."""
    yield Component(
        kind=Kind.OPTIMIZER,
        name="adafactor",
        config=AdafactorConfig,
        spec="areca_optimizers:adafactor_spec",
        target="areca_optimizers.optimizers:AdafactorOptimizer",
        summary="Adafactor without relative steps or parameter scaling; keeps little memory",
        paper="https://arxiv.org/abs/1804.04235",
        license="Apache-2.0",
        requires=("torch", "transformers"),
    )
    yield Component(
        kind=Kind.OPTIMIZER,
        name="adamw",
        config=AdamWConfig,
        spec="areca_optimizers:adamw_spec",
        target="areca_optimizers.optimizers:AdamWOptimizer",
        summary="Adam with decoupled weight decay",
        paper="https://arxiv.org/abs/1711.05101",
        license="Apache-2.0",
        requires=("torch",),
    )
    yield Component(
        kind=Kind.SCHEDULE,
        name="constant",
        config=ConstantConfig,
        spec="areca_optimizers:constant_spec",
        target="areca_optimizers.schedules:Constant",
        summary="keeps the learning rate at its highest",
        license="Apache-2.0",
    )
    yield Component(
        kind=Kind.SCHEDULE,
        name="cosine",
        config=DecayConfig,
        spec="areca_optimizers:decay_spec",
        target="areca_optimizers.schedules:Cosine",
        summary="lowers the learning rate along half a cosine",
        paper="https://arxiv.org/abs/1608.03983",
        license="Apache-2.0",
    )
    yield Component(
        kind=Kind.SCHEDULE,
        name="linear",
        config=DecayConfig,
        spec="areca_optimizers:decay_spec",
        target="areca_optimizers.schedules:Linear",
        summary="lowers the learning rate along a straight line",
        license="Apache-2.0",
    )
