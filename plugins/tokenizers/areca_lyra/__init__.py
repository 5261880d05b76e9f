"""Lyra v2, a SoundStream (Zeghidour et al. 2021, arXiv 2107.03312) at 16 kHz, as a tokenizer that can also decode."""

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
"""Where to get the weights, for error messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LyraConfig:
    """Options of the tokenizer `lyra`.

    Raises:
        ValueError: `quantizers` is out of range, or odd with `merge: 2`.
    """

    path: Path | None = None
    """Required. Folder with the weights (*.tflite): lyra/model_coeffs in https://github.com/google/lyra."""
    quantizers: int = 16
    """Residual quantizers, 1 to 46, with 16 codes each; each costs 0.2 kbit/s. Lyra uses 16, 30 or 46."""
    merge: Literal[1, 2] = 1
    """Quantizers per stream. 2 merges pairs into streams of 256 codes, which halves the ids in a language model."""

    def __post_init__(self) -> None:
        if not 1 <= self.quantizers <= QUANTIZERS:
            raise ValueError(f"quantizers: expected 1 to {QUANTIZERS}, got {self.quantizers}")
        if self.quantizers % self.merge:
            raise ValueError(
                f"quantizers: expected an even number with merge: 2, got {self.quantizers}; "
                f"try quantizers: {self.quantizers + 1}"
            )


def spec(config: LyraConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return one stream at 50 Hz per quantizer, or per pair of quantizers, coarsest first.

    Raises:
        InvalidConfig: no folder is given, or the folder lacks some of the weights.
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
        summary="Lyra v2, a SoundStream, 16 kHz: 1 to 46 residual codebooks of 16 codes at 50 Hz; decodes",
        license="Apache-2.0",
        requires=("torch", "ai_edge_litert"),
        tags=frozenset({"decode", "stream"}),
        extra="lyra",
        paper="https://arxiv.org/abs/2107.03312",
        weights_license="Apache-2.0",
    )
