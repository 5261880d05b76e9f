"""Conformance checks of the kind `probe`."""

from __future__ import annotations

import math

import torch
from areca.testing import CheckedComponent
from areca.types import Codes


def check_number_is_finite(checked: CheckedComponent) -> None:
    """Check that the measurement is a finite number for any codes."""
    for codes in (torch.zeros(1, dtype=torch.int64), torch.arange(50) % 7):
        value = checked.instance.measure([Codes((codes,))])
        assert math.isfinite(value), f"{len(codes)} codes: measured {value}, expected a finite number"
