"""Vector tables: the vectors that a tokenizer's units are clusters of, for LMs that read these instead of units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch

from areca.artifacts.tables import EncodedTable
from areca.errors import IncompatibleParts
from areca.interfaces import Featured
from areca.specs import TokenizerSpec
from areca.types import Audio

_BYTES = 2
"""Size of a stored value, a float16."""


class VectorTable(EncodedTable[torch.Tensor]):
    """The vectors of a column of a manifest, by row id: float32 ``[F, D]``, stored as float16."""

    kind = "vectors"

    @staticmethod
    def encode(tokenizer: Featured, audios: list[Audio]) -> list[torch.Tensor]:
        """Return the vectors of each recording, float32 ``[F, D]``, on the CPU and rounded to float16.

        Requests must be encoded by this function, too, so that an LM reads the values that it was trained on.

        Raises:
            IncompatibleParts: a value is out of float16's range.
        """
        rounded = [vectors.cpu().to(torch.float16).float() for vectors in tokenizer.features(audios)]
        if not all(bool(vectors.isfinite().all()) for vectors in rounded):
            raise IncompatibleParts(
                f"{type(tokenizer).__name__}: its vectors have values above 65504, the largest float16: "
                "set lm.read_as: units, or choose another layer or tokenizer"
            )
        return rounded

    @staticmethod
    def columns(values: Sequence[torch.Tensor]) -> dict[str, pa.Array]:
        """Return the vectors, a list for each recording."""
        joined = torch.cat(list(values)).to(torch.float16)
        frames = pa.FixedSizeListArray.from_arrays(pa.array(joined.flatten().numpy()), joined.shape[1])
        starts = np.cumsum([0, *map(len, values)]).astype(np.int32)
        return {"vectors": pa.ListArray.from_arrays(pa.array(starts), frames)}

    @property
    def size(self) -> int:
        """Dimensions D of a vector."""
        return int(self._table.schema.field("vectors").type.value_type.list_size)

    def _read(self, index: int) -> torch.Tensor:
        values = self._table["vectors"][index].values.flatten().to_numpy()
        return torch.from_numpy(values.astype(np.float32)).view(-1, self.size)


def hourly_bytes(spec: TokenizerSpec) -> int | None:
    """Return the size of the vectors of an hour of audio; None: the spec states no size or no rate."""
    rate_hz = spec.streams[0].frame_rate_hz
    if rate_hz is None or spec.feature_size is None:
        return None
    return round(3600 * rate_hz) * spec.feature_size * _BYTES
