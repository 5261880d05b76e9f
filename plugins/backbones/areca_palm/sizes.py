"""Dimensions of PaLM models and their numbers of parameters. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

Size = Literal["nano", "128M", "1B", "8B"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimensions:
    """Dimensions of an architecture. Widths are in channels, `context` in tokens."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    head_width: int
    kv_heads: int = 1
    vocabulary_size: int
    context: int = 2048

    @property
    def parameters(self) -> int:
        """Total number of parameters; the embedding, which is also the output matrix, counts once."""
        attention = 2 * self.width * self.head_width * (self.heads + self.kv_heads)  # queries, output; keys, values
        block = attention + 3 * self.width * self.feed_forward + self.width  # SwiGLU has three matrices; one norm
        return self.vocabulary_size * self.width + self.layers * block + self.width


PRESETS: Mapping[Size, Dimensions] = MappingProxyType(
    {
        "nano": Dimensions(layers=4, width=192, feed_forward=768, heads=4, head_width=48, vocabulary_size=1024),
        "128M": Dimensions(layers=12, width=768, feed_forward=3072, heads=3, head_width=256, vocabulary_size=32_000),
        "1B": Dimensions(layers=18, width=1536, feed_forward=6144, heads=6, head_width=256, vocabulary_size=256_000),
        "8B": Dimensions(layers=32, width=4096, feed_forward=16_384, heads=16, head_width=256, vocabulary_size=256_000),
    }
)
"""8B is PaLM 8B (table 1: 8.63 B parameters; section 2: heads of 256, feed-forward of 4 widths, 256k tokens).

AudioPaLM compares 128M, 1B and 8B, but only the dimensions of 8B are documented. This project chose those of 128M and
1B by PaLM's rules (heads of 256 that fill the width, feed-forward of 4 widths), with the depth that gives the total in
the name. With 256k tokens, two thirds of the parameters of 128M would be embeddings, so its vocabulary has 32k.
"""


def override_preset(size: Size, **values: int | None) -> Dimensions:
    """Return the dimensions of a preset, with `values` in place of its own; None keeps the preset's value."""
    return replace(PRESETS[size], **{name: value for name, value in values.items() if value is not None})
