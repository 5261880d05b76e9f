"""What checks of several kinds use."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

T = TypeVar("T")


def refuses(error: type[Exception], call: Callable[[], object], what: str) -> None:
    """Assert that `call`, which is given `what`, raises `error`."""
    try:
        call()
    except error:
        return
    except Exception as e:
        raise AssertionError(f"{what}: expected {error.__name__}, got {type(e).__name__}: {e}") from e
    raise AssertionError(f"{what} was taken: expected {error.__name__}")


def with_global_seed(seed: int, call: Callable[[], T], what: str) -> T:
    """Return ``call()`` made with the global random states at `seed`; assert that it leaves them there."""
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        seeded = _states()
        result = call()
        for name, then, now in zip(("torch", "numpy", "random"), seeded, _states(), strict=True):
            assert then == now, f"{what} moves the global random state of {name}: use a generator"
        return result
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])
        random.setstate(before[2])


def _states() -> tuple[bytes, Any, Any]:
    _, keys, *rest = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), (np.asarray(keys).tobytes(), *rest), random.getstate()
