"""Neural codecs of transformers as tokenizers that can also decode: Mimi, DAC and X-Codec."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from areca import Component, Kind, hookimpl, runtime
from areca.errors import InvalidConfig
from areca.specs import Spec, Stream, TokenizerSpec
from areca_codecs.properties import CodecProperties, codec_properties

ARECA_PLUGIN_API = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecConfig:
    """Options common to the three tokenizers."""

    family: ClassVar[str]

    model: str
    """Hub id of a model that areca knows."""
    path: Path | None = None
    """Directory in the hub's layout (config.json, *.safetensors), instead of `model`."""
    revision: str = "main"
    """Branch, tag or commit of the hub model; only a commit always means the same weights."""
    batch_s: float = runtime(0.0)
    """Seconds of audio in a batch, padding included (0: one recording at a time, which is bit-exact)."""

    @property
    def source(self) -> str:
        """Origin of the weights, for messages."""
        return str(self.path or self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class MimiConfig(CodecConfig):
    """Options of the tokenizer ``mimi``."""

    family = "mimi"

    model: str = "kyutai/mimi"
    """Hub id: 'kyutai/mimi'."""
    quantizers: int | None = 8
    """Number of streams, 1 to 32, the semantic one first; each costs 137.5 bit/s (null: all)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DacConfig(CodecConfig):
    """Options of the tokenizer ``dac``."""

    family = "dac"

    model: str = "descript/dac_16khz"
    """Hub id: 'descript/dac_16khz', 'descript/dac_24khz' or 'descript/dac_44khz'."""
    quantizers: int | None = None
    """Number of streams, coarsest first: at most 12 (16 kHz), 32 (24 kHz) or 9 (44.1 kHz) (null: all)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class XcodecConfig(CodecConfig):
    """Options of the tokenizer ``xcodec``."""

    family = "xcodec"

    model: str = "hf-audio/xcodec-hubert-librispeech"
    """Hub id: 'hf-audio/xcodec-' and one of hubert-librispeech, hubert-general, hubert-general-balanced, wavlm-mls,
    wavlm-more-data."""
    bandwidth_kbps: float = 4.0
    """Bandwidth in kbit/s, which decides the number of streams: 0.5, 1, 1.5, 2 or 4 give 1, 2, 3, 4 or 8."""


AnyConfig = MimiConfig | DacConfig | XcodecConfig


def spec(config: AnyConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return the streams of the configured model, most important first, all at one rate.

    Raises:
        InvalidConfig: areca does not know the model, `path` is not a model's directory, or the model does not have that
            many streams.
    """
    known = codec_properties(config.family, config.model, config.path)
    count = (
        _count_by_bandwidth(config, known) if isinstance(config, XcodecConfig) else _count_by_quantizers(config, known)
    )
    streams = (Stream(_stream_name(known, k), known.size, known.frame_rate_hz) for k in range(count))
    return TokenizerSpec(tuple(streams), known.sample_rate_hz)


def _stream_name(known: CodecProperties, k: int) -> str:
    if k >= known.semantic:
        return f"acoustic-{k - known.semantic}" if known.semantic else f"rvq-{k}"
    return "semantic" if known.semantic == 1 else f"semantic-{k}"


def _count_by_quantizers(config: MimiConfig | DacConfig, known: CodecProperties) -> int:
    least = max(1, known.semantic)  # the model always uses all semantic codebooks
    count = known.codebooks if config.quantizers is None else config.quantizers
    if not least <= count <= known.codebooks:
        raise InvalidConfig(
            f"tokenizer {config.family}: quantizers: expected {least} to {known.codebooks}, got {count}; "
            f"{config.source} has {known}"
        )
    return count


def _count_by_bandwidth(config: XcodecConfig, known: CodecProperties) -> int:
    if config.bandwidth_kbps not in known.bandwidths_kbps:
        expected = ", ".join(f"{b:g}" for b in known.bandwidths_kbps)
        raise InvalidConfig(
            f"tokenizer xcodec: bandwidth_kbps: expected one of {expected}, got {config.bandwidth_kbps:g}"
        )
    # Round as the model does: bits per code, times frames per second rounded up.
    kbps_per_stream = math.log2(known.size) * math.ceil(known.frame_rate_hz) / 1000
    return min(known.codebooks, max(1, math.floor(config.bandwidth_kbps / kbps_per_stream)))


def _component(
    config: type[CodecConfig], target: str, summary: str, paper: str, weights_license: str, *, stream: bool
) -> Component:
    return Component(
        kind=Kind.TOKENIZER,
        name=config.family,
        config=config,
        spec="areca_codecs:spec",
        target=f"areca_codecs.model:{target}",
        summary=summary,
        license="Apache-2.0",
        requires=("torch", "transformers"),
        tags=frozenset({"decode", "stream"} if stream else {"decode"}),
        paper=paper,
        weights_license=weights_license,
    )


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare the tokenizers ``mimi``, ``dac`` and ``xcodec``."""
    yield _component(
        MimiConfig,
        "Mimi",
        "Mimi codec, 24 kHz: 1 semantic and up to 31 acoustic codebooks of 2048 codes at 12.5 Hz; decodes",
        "https://arxiv.org/abs/2410.00037",
        "CC-BY-4.0",
        stream=False,  # its attention and its convolutions would have to keep their states
    )
    yield _component(
        DacConfig,
        "Dac",
        "Descript Audio Codec: up to 9, 12 or 32 residual codebooks of 1024 codes at 50 to 86 Hz; decodes",
        "https://arxiv.org/abs/2306.06546",
        "MIT",
        stream=True,
    )
    yield _component(
        XcodecConfig,
        "Xcodec",
        "X-Codec, 16 kHz: 1 to 8 residual codebooks of 1024 codes at 50 Hz, with HuBERT features; decodes",
        "https://arxiv.org/abs/2408.17175",
        "LicenseRef-model-card",  # the licence differs between models, and the authors' repository states none
        stream=True,
    )
