"""Shared by the metrics and normalisers of this package, none of which has files or weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch

from areca.types import Example


class Loaded:
    """A component that needs only its options."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @classmethod
    def load(
        cls,
        config: Any,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Self:
        """Return an instance with `config`."""
        return cls(config)


def texts(examples: Sequence[Example]) -> list[tuple[str, str]]:
    """Return the texts of each answer and its reference; ``""`` for a missing text."""
    return [(example.answer.text or "", example.reference.text or "") for example in examples]
