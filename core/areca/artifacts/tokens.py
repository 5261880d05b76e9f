"""Token tables: the codes of a manifest's audio, encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from areca.artifacts.tables import EncodedTable
from areca.interfaces import Tokenizer
from areca.types import Audio, Codes

_CODES = pa.list_(pa.int32())


class TokenTable(EncodedTable[Codes]):
    """The codes of a column of a manifest, by row id."""

    kind = "tokens"

    @staticmethod
    def encode(tokenizer: Tokenizer, audios: list[Audio]) -> list[Codes]:
        """Return the codes of each recording."""
        return tokenizer.encode(audios)

    @staticmethod
    def columns(values: Sequence[Codes]) -> dict[str, pa.Array]:
        """Return the codes of each stream, and durations."""
        durations = [None if codes.durations is None else codes.durations.numpy() for codes in values]
        streams = [[stream.numpy() for stream in codes.streams] for codes in values]
        return {"streams": pa.array(streams, pa.list_(_CODES)), "durations": pa.array(durations, _CODES)}

    def _read(self, index: int) -> Codes:
        durations = self._table["durations"][index]
        return Codes(
            tuple(_to_tensor(stream) for stream in self._table["streams"][index]),
            _to_tensor(durations) if durations.is_valid else None,
            self._fingerprint,
        )


def _to_tensor(values: Any) -> torch.Tensor:
    return torch.from_numpy(values.values.to_numpy(zero_copy_only=False).astype(np.int64))
