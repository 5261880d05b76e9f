"""Conformance checks of learning-rate schedules."""

from __future__ import annotations

import math

from areca.specs import ScheduleSpec
from areca.testing.checked import CheckedComponent
from areca.testing.tools import with_global_seed

_LENGTHS = (0, 1, 2, 10, 1000)
"""Numbers of steps after the warm-up; 0: the warm-up takes all steps."""


def check_factor(checked: CheckedComponent) -> None:
    """The factor on the highest learning rate is a finite number in [0, 1]."""
    for step, steps, factor in _factors(checked):
        right = isinstance(factor, (int, float)) and math.isfinite(factor) and 0 <= factor <= 1
        assert right, f"factor({step}, {steps}) is {factor!r}, expected a number in [0, 1]"


def check_repeat_is_exact(checked: CheckedComponent) -> None:
    """The same arguments give the same factor in any order of calls; the global random state is not changed."""
    _ = checked.instance
    first = with_global_seed(1, lambda: _factors(checked), "a factor")
    again = with_global_seed(2, lambda: _factors(checked, backward=True), "a factor")
    differing = [(a, b) for a, b in zip(first, reversed(again), strict=True) if a != b]
    assert not differing, f"(step, steps, factor) was {differing[0][0]}, then {differing[0][1]}"


def check_spec_matches(checked: CheckedComponent) -> None:
    """The spec's `last` is the factor at the last step."""
    spec = checked.part.spec
    assert isinstance(spec, ScheduleSpec)
    for steps in _LENGTHS[1:]:
        factor = checked.instance.factor(steps, steps)
        right = spec.last is None or math.isclose(factor, spec.last, abs_tol=1e-9)
        assert right, f"factor({steps}, {steps}) is {factor!r}, the spec says {spec.last!r}"


def _factors(checked: CheckedComponent, *, backward: bool = False) -> list[tuple[int, int, float]]:
    pairs = [(step, steps) for steps in _LENGTHS for step in range(steps + 1)]
    if backward:
        pairs.reverse()
    return [(step, steps, checked.instance.factor(step, steps)) for step, steps in pairs]
