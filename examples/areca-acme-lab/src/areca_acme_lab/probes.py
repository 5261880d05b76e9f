"""The probe `unit-entropy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from areca.types import Codes


class UnitEntropy:
    """The target of the component `unit-entropy`, and its instance."""

    @classmethod
    def load(cls, config: Any, needs: Any, files: Path | None, *, device: Any, dtype: Any) -> UnitEntropy:
        """Return the probe, which has no state."""
        return cls()

    def measure(self, codes: list[Codes]) -> float:
        """Return the entropy of the codes of the first stream, in bits."""
        counts = torch.cat([c.streams[0] for c in codes]).bincount().double()
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * shares.log2()).sum())
