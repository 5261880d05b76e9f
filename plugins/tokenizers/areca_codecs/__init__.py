"""The codecs of transformers as tokenizers that also decode: Mimi, DAC and X-Codec."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from areca import Component, Kind, hookimpl, runtime
from areca.errors import InvalidConfig
from areca.specs import Spec, Stream, TokenizerSpec
from areca_codecs.figures import Facts, facts

ARECA_PLUGIN_API = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecConfig:
    """Options that the three share."""

    family: ClassVar[str]

    model: str
    """Hub id of a model that areca knows."""
    path: Path | None = None
    """Directory in the hub's layout (config.json, *.safetensors), instead of `model`."""
    revision: str = "main"
    """Branch, tag or commit of the hub model; only a commit always means the same weights."""
    batch_s: float = runtime(0.0)
    """Seconds of audio, padding included, run at once; 0: one recording at a time, whose codes are exactly its own."""

    @property
    def source(self) -> str:
        """Where the weights are from, for messages."""
        return str(self.path or self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class MimiConfig(CodecConfig):
    """Options of the tokenizer ``mimi``."""

    family = "mimi"

    model: str = "kyutai/mimi"
    """'kyutai/mimi'."""
    quantizers: int | None = 8
    """Streams, the semantic one first: 1 to 32, at 137.5 bit/s each; null: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DacConfig(CodecConfig):
    """Options of the tokenizer ``dac``."""

    family = "dac"

    model: str = "descript/dac_16khz"
    """'descript/dac_16khz', '..._24khz' or '..._44khz'."""
    quantizers: int | None = None
    """Streams, coarsest first: at most 12 (16 kHz), 32 (24 kHz) or 9 (44.1 kHz); null: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class XcodecConfig(CodecConfig):
    """Options of the tokenizer ``xcodec``."""

    family = "xcodec"

    model: str = "hf-audio/xcodec-hubert-librispeech"
    """'hf-audio/xcodec-hubert-librispeech', or another of the five."""
    bandwidth_kbps: float = 4.0
    """0.5, 1, 1.5, 2 or 4: 1, 2, 3, 4 or 8 streams."""


AnyConfig = MimiConfig | DacConfig | XcodecConfig


def spec(config: AnyConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return the streams that the model of `config` emits, most important first, all of one rate.

    Raises:
        InvalidConfig: a model that areca does not know, no directory, or streams that the model does not have.
    """
    known = facts(config.family, config.model, config.path)
    count = _by_bandwidth(config, known) if isinstance(config, XcodecConfig) else _by_number(config, known)
    streams = (Stream(_name(known, k), known.size, known.frame_rate_hz) for k in range(count))
    return TokenizerSpec(tuple(streams), known.sample_rate_hz)


def _name(known: Facts, k: int) -> str:
    if k >= known.semantic:
        return f"acoustic-{k - known.semantic}" if known.semantic else f"rvq-{k}"
    return "semantic" if known.semantic == 1 else f"semantic-{k}"


def _by_number(config: MimiConfig | DacConfig, known: Facts) -> int:
    least = max(1, known.semantic)  # the model always uses all semantic ones
    count = known.codebooks if config.quantizers is None else config.quantizers
    if not least <= count <= known.codebooks:
        raise InvalidConfig(
            f"tokenizer {config.family}: quantizers: expected {least} to {known.codebooks}, got {count}; "
            f"{config.source} has {known}"
        )
    return count


def _by_bandwidth(config: XcodecConfig, known: Facts) -> int:
    if config.bandwidth_kbps not in known.bandwidths_kbps:
        expected = ", ".join(f"{b:g}" for b in known.bandwidths_kbps)
        raise InvalidConfig(
            f"tokenizer xcodec: bandwidth_kbps: expected one of {expected}, got {config.bandwidth_kbps:g}"
        )
    # As the model counts them: bits a code times frames a second, both rounded as it rounds them.
    kbps_each = math.log2(known.size) * math.ceil(known.frame_rate_hz) / 1000
    return min(known.codebooks, max(1, math.floor(config.bandwidth_kbps / kbps_each)))


def _row(config: type[CodecConfig], target: str, summary: str, paper: str, weights_license: str) -> Component:
    return Component(
        kind=Kind.TOKENIZER,
        name=config.family,
        config=config,
        spec="areca_codecs:spec",
        target=f"areca_codecs.model:{target}",
        summary=summary,
        license="Apache-2.0",
        requires=("torch", "transformers"),
        tags=frozenset({"decode"}),
        paper=paper,
        weights_license=weights_license,
    )


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare the tokenizers ``mimi``, ``dac`` and ``xcodec``."""
    yield _row(
        MimiConfig,
        "Mimi",
        "Mimi 24 kHz: a semantic and up to 31 acoustic codebooks of 2048 at 12.5 Hz, and back to audio",
        "https://arxiv.org/abs/2410.00037",
        "CC-BY-4.0",
    )
    yield _row(
        DacConfig,
        "Dac",
        "Descript Audio Codec: 9 to 32 residual codebooks of 1024 at 50 to 86 Hz, and back to audio",
        "https://arxiv.org/abs/2306.06546",
        "MIT",
    )
    yield _row(
        XcodecConfig,
        "Xcodec",
        "X-Codec 16 kHz: 1 to 8 residual codebooks of 1024 at 50 Hz that know HuBERT, and back to audio",
        "https://arxiv.org/abs/2408.17175",
        "LicenseRef-model-card",  # they differ from model to model, and the authors' repository states none
    )
