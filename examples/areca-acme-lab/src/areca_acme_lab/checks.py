"""What the conformance kit checks in a component of the kind `probe`."""

from __future__ import annotations

import math

import torch
from areca.testing import CheckedComponent
from areca.types import Codes


def check_number_is_finite(checked: CheckedComponent) -> None:
    """Check that the measurement is a finite number, whatever the codes are."""
    for codes in (torch.zeros(1, dtype=torch.int64), torch.arange(50) % 7):
        measured = checked.instance.measure([Codes((codes,))])
        assert math.isfinite(measured), f"{len(codes)} codes measure {measured}, expected a finite number"
