"""What the metrics and normalisers here share: none of them reads files or has weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch

from areca.types import Example


class Loaded:
    """A component made of its options alone."""

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
        """Return an instance under `config`."""
        return cls(config)


def texts(examples: Sequence[Example]) -> list[tuple[str, str]]:
    """Return the text of each answer and of its reference; ``""`` where there is none."""
    return [(example.answer.text or "", example.reference.text or "") for example in examples]
