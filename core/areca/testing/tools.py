"""Helpers of the checks."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

T = TypeVar("T")


def expect_refusal(error: type[Exception], call: Callable[[], object], what: str) -> None:
    """Assert that `call`, whose input is described by `what`, raises `error`."""
    try:
        call()
    except error:
        return
    except Exception as e:
        raise AssertionError(f"{what}: expected {error.__name__}, got {type(e).__name__}: {e}") from e
    raise AssertionError(f"{what} was accepted: expected {error.__name__}")


def with_global_seed(seed: int, call: Callable[[], T], what: str) -> T:
    """Return ``call()`` with the global random states set to `seed`; assert that it does not change them."""
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        seeded = _states()
        result = call()
        for name, then, now in zip(("torch", "numpy", "random"), seeded, _states(), strict=True):
            assert then == now, f"{what} changes the global random state of {name}: use a torch.Generator"
        return result
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])
        random.setstate(before[2])


def _states() -> tuple[bytes, Any, Any]:
    _, keys, *rest = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), (np.asarray(keys).tobytes(), *rest), random.getstate()
