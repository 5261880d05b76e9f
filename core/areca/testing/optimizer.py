"""Conformance checks of optimizers."""

from __future__ import annotations

import io
import math
from typing import Any

import torch

from areca.specs import OptimizerSpec
from areca.testing.checked import CheckedComponent
from areca.testing.tools import with_global_seed

_SHAPES = ((6, 4), (5,), (3, 3), (1,))
"""Matrices and vectors, as an LM has them."""
_STEPS = 40
_RATE = 0.05


def check_groups(checked: CheckedComponent) -> None:
    """It builds a torch optimizer over the given parameters, each with the given learning rate."""
    groups = _groups()
    optimizer = checked.instance.build(groups, _RATE)
    assert isinstance(optimizer, torch.optim.Optimizer), (
        f"build returned {type(optimizer).__name__}, expected a torch.optim.Optimizer"
    )
    given = sorted(id(parameter) for parameter in _parameters(groups))
    held = sorted(id(parameter) for group in optimizer.param_groups for parameter in group["params"])
    assert held == given, f"{len(given)} parameters were given, the optimizer's groups hold {len(held)}"
    rates = [group.get("lr") for group in optimizer.param_groups]
    assert all(rate == _RATE for rate in rates), f"learning rate {_RATE} was given, the groups have lr {rates}"


def check_lowers_loss(checked: CheckedComponent) -> None:
    """Some steps lower a loss with one minimum, and each parameter moves."""
    groups = _groups()
    before = [parameter.detach().clone() for parameter in _parameters(groups)]
    first, *_, last = _train(checked.instance.build(groups, _RATE), groups, _STEPS)
    assert math.isfinite(last) and last < first, f"{_STEPS} steps took the loss from {first:.4g} to {last:.4g}"
    still = [tuple(b.shape) for b, p in zip(before, _parameters(groups), strict=True) if torch.equal(b, p)]
    assert not still, f"{_STEPS} steps did not move the parameters of the shapes {still}"


def check_learning_rate(checked: CheckedComponent) -> None:
    """With a learning rate of 0, as a schedule may set it, no parameter moves."""
    groups = _groups()
    optimizer = checked.instance.build(groups, _RATE)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = [parameter.detach().clone() for parameter in _parameters(groups)]
    _train(optimizer, groups, 1)
    moved = [tuple(b.shape) for b, p in zip(before, _parameters(groups), strict=True) if not torch.equal(b, p)]
    assert not moved, f"with the learning rate 0 the parameters of the shapes {moved} moved: read each group's lr"


def check_weight_decay(checked: CheckedComponent) -> None:
    """The weight decay of a group changes its trained values, and not those of other groups."""
    plain, decayed = _groups(), _groups(weight_decay=0.5)
    for groups in (plain, decayed):
        _train(checked.instance.build(groups, _RATE), groups, 3)
    without, matrices, vectors = plain[0]["params"], decayed[0]["params"], decayed[1]["params"]
    same = all(torch.equal(a, b) for a, b in zip(without, matrices, strict=True))
    assert not same, "a group with weight_decay 0.5 was trained as one with 0"
    kept = all(torch.equal(a, b) for a, b in zip(plain[1]["params"], vectors, strict=True))
    assert kept, "the weight decay of one group changed another group, whose own is 0"


def check_state_elements(checked: CheckedComponent) -> None:
    """The spec's `state_elements` is the number of values that the optimizer keeps for each parameter."""
    spec = checked.part.spec
    assert isinstance(spec, OptimizerSpec)
    groups = _groups()
    optimizer = checked.instance.build(groups, _RATE)
    _train(optimizer, groups, 2)
    for parameter in _parameters(groups):
        shape = tuple(parameter.shape)
        kept = [
            value for value in optimizer.state[parameter].values() if isinstance(value, torch.Tensor) and value.ndim
        ]
        found = math.ceil(sum(value.numel() * value.element_size() for value in kept) / torch.float32.itemsize)
        stated = spec.state_elements(shape)
        assert stated == found, f"for shape {shape} the spec says {stated} values, the optimizer keeps {found}"


def check_resumes_exactly(checked: CheckedComponent) -> None:
    """A new optimizer that loads the `state_dict` of another makes the same steps."""
    groups = _groups()
    optimizer = checked.instance.build(groups, _RATE)
    _train(optimizer, groups, 3)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    resumed = _groups()
    with torch.no_grad():
        for copy, parameter in zip(_parameters(resumed), _parameters(groups), strict=True):
            copy.copy_(parameter)
    again = checked.instance.build(resumed, _RATE)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    _train(optimizer, groups, 3)
    _train(again, resumed, 3)
    same = all(torch.equal(a, b) for a, b in zip(_parameters(groups), _parameters(resumed), strict=True))
    assert same, "training that was resumed from the state_dict ended with other weights"


def check_randomness(checked: CheckedComponent) -> None:
    """The same steps give the same weights, and neither use nor change the global random state."""
    _ = checked.instance

    def trained() -> list[torch.Tensor]:
        groups = _groups()
        _train(checked.instance.build(groups, _RATE), groups, 3)
        return _parameters(groups)

    first, again = (with_global_seed(seed, trained, "a step") for seed in (1, 2))
    same = all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert same, "the same steps gave other weights"


def _groups(weight_decay: float = 0.0) -> list[dict[str, Any]]:
    """Return a group of matrices with `weight_decay` and a group of vectors without; values are always the same."""
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in _SHAPES]
    matrices, vectors = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def _parameters(groups: list[dict[str, Any]]) -> list[torch.Tensor]:
    return [parameter for group in groups for parameter in group["params"]]


def _train(optimizer: torch.optim.Optimizer, groups: list[dict[str, Any]], steps: int) -> list[float]:
    """Minimise the distance of each parameter from 3; return the loss before each step, and after the last."""

    def loss() -> torch.Tensor:
        return torch.stack([((parameter - 3.0) ** 2).sum() for parameter in _parameters(groups)]).sum()

    losses = []
    for _ in range(steps):
        value = loss()
        losses.append(float(value.detach()))
        optimizer.zero_grad()
        torch.autograd.backward(value)
        optimizer.step()
    return [*losses, float(loss().detach())]
