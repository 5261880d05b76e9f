"""Run-length deduplication (Lakhotia et al. 2021, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from areca.errors import InvalidCodes
from areca.types import Audio, Codes
from areca_units.options import DedupConfig


class Dedup:
    """A tokenizer that merges each run of equal units of another tokenizer into one unit with a duration."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @staticmethod
    def load(
        config: DedupConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Dedup:
        """Wrap the inner tokenizer."""
        return Dedup(needs["tokenizer"])

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Encode with the inner tokenizer and merge runs.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
        """
        return [deduplicate(codes) for codes in self.tokenizer.encode(audios)]


def deduplicate(codes: Codes) -> Codes:
    """Merge runs of equal codes; `durations` are the runs' lengths in frames."""
    values, counts = torch.unique_consecutive(codes.streams[0], return_counts=True)
    return Codes((values,), counts, codes.fingerprint)


def expand(codes: Codes) -> Codes:
    """Undo `deduplicate`: repeat each code by its duration.

    Raises:
        InvalidCodes: `codes` has no durations.
    """
    if codes.durations is None:
        raise InvalidCodes("expand: expected deduplicated codes with durations, got durations=None")
    return Codes((codes.streams[0].repeat_interleave(codes.durations),), None, codes.fingerprint)
