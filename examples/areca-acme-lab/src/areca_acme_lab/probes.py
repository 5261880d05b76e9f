"""The probe `unit-entropy`."""

from __future__ import annotations

import torch
from areca.component import Configured
from areca.types import Codes

from areca_acme_lab import NoOptions


class UnitEntropy(Configured[NoOptions]):
    """The target of the component `unit-entropy`, and its instance."""

    def measure(self, codes: list[Codes]) -> float:
        """Return the entropy of the codes of the first stream, in bits."""
        counts = torch.cat([c.streams[0] for c in codes]).bincount().double()
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * shares.log2()).sum())
