"""Lyra v2, a SoundStream (Zeghidour et al. 2021, arXiv 2107.03312) at 16 kHz, as a tokenizer that also decodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from areca import Component, Kind, hookimpl
from areca.errors import InvalidConfig
from areca.specs import Spec, Stream, TokenizerSpec

ARECA_PLUGIN_API = 1

SAMPLE_RATE_HZ = 16_000
FRAME_RATE_HZ = 50
QUANTIZERS = 46
CODEBOOK_SIZE = 16
FILES = ("soundstream_encoder.tflite", "quantizer.tflite", "lyragan.tflite")
SOURCE = (
    f"give the folder that holds {', '.join(FILES)}: they are in lyra/model_coeffs of "
    "https://github.com/google/lyra (Apache-2.0; git clone --depth 1)"
)
"""Where the weights come from, for error messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LyraConfig:
    """Options of the tokenizer `lyra`.

    Raises:
        ValueError: more quantizers than there are, or an odd number of them to be merged in pairs.
    """

    path: Path | None = None
    """Folder with soundstream_encoder.tflite, quantizer.tflite and lyragan.tflite: lyra/model_coeffs of google/lyra."""
    quantizers: int = 16
    """Residual quantizers, 1 to 46, of 16 entries each: 0.2 kbps a piece. Lyra itself uses 16, 30 or 46."""
    merge: Literal[1, 2] = 1
    """2: each pair of quantizers is one stream of 256 codes, for half as many ids in a language model."""

    def __post_init__(self) -> None:
        if not 1 <= self.quantizers <= QUANTIZERS:
            raise ValueError(f"quantizers: expected 1 to {QUANTIZERS}, got {self.quantizers}")
        if self.quantizers % self.merge:
            raise ValueError(
                f"quantizers: expected an even number with merge: 2, got {self.quantizers}; "
                f"try quantizers: {self.quantizers + 1}"
            )


def spec(config: LyraConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return one stream of 50 Hz for each quantizer, or pair of quantizers, coarsest first.

    Raises:
        InvalidConfig: no folder is given, or not all of the weights are in it.
    """
    if config.path is None:
        raise InvalidConfig(f"tokenizer lyra: path: {SOURCE}")
    if missing := [name for name in FILES if not (config.path / name).is_file()]:
        raise InvalidConfig(f"tokenizer lyra: path: {config.path} has no {', '.join(missing)}; {SOURCE}")
    size, count = CODEBOOK_SIZE**config.merge, config.quantizers // config.merge
    streams = (Stream(f"rvq-{k}", size, float(FRAME_RATE_HZ)) for k in range(count))
    return TokenizerSpec(tuple(streams), SAMPLE_RATE_HZ)


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare the tokenizer `lyra`."""
    yield Component(
        kind=Kind.TOKENIZER,
        name="lyra",
        config=LyraConfig,
        spec="areca_lyra:spec",
        target="areca_lyra.model:LyraTokenizer",
        summary="Lyra v2, a SoundStream: 1 to 46 residual codebooks of 16 at 50 Hz, and back to audio",
        license="Apache-2.0",
        requires=("torch", "ai_edge_litert"),
        tags=frozenset({"decode"}),
        extra="lyra",
        paper="https://arxiv.org/abs/2107.03312",
        weights_license="Apache-2.0",
    )
