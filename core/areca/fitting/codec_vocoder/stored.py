"""The specs of both tokenizers in an artifact: `load` gets the tokenizers, but not their specs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from areca.errors import InvalidArtifact, quote
from areca.files.reading import parse_json
from areca.fitting.codec_vocoder.layout import Layout, layout_of
from areca.hub.weights import read_header
from areca.specs import Stream, TokenizerSpec

_NAME = "tokenizers"


def describe_layout(layout: Layout) -> dict[str, str]:
    """Return the specs of the tokenizers, as metadata of a safetensors file."""

    def describe(spec: TokenizerSpec) -> dict[str, Any]:
        return {
            "streams": [[s.name, s.size, s.frame_rate_hz] for s in spec.streams],
            "sample_rate_hz": spec.sample_rate_hz,
            "channels": spec.channels,
            "base_rate_hz": spec.base_rate_hz,
        }

    return {_NAME: json.dumps({"semantic": describe(layout.semantic), "acoustic": describe(layout.acoustic)})}


def read_layout(path: Path) -> Layout:
    """Return the layout in the metadata of a safetensors file.

    Raises:
        InvalidArtifact: there is none, or it is not that of two tokenizers that fit together.
    """
    stored = parse_json(read_header(path).metadata.get(_NAME, "null"), f"{path}: {_NAME}")
    try:
        semantic, acoustic = (
            TokenizerSpec(tuple(Stream(*stream) for stream in one.pop("streams")), **one)
            for one in (stored["semantic"], stored["acoustic"])
        )
        return layout_of(semantic, acoustic)
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise InvalidArtifact(f"{path}: expected the specs of two tokenizers, got {quote(stored)}") from e
