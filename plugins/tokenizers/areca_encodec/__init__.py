"""EnCodec at 24 kHz (Défossez et al. 2022, arXiv 2210.13438) as a tokenizer that can also decode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from areca import Component, Kind, hookimpl, runtime
from areca.errors import InvalidConfig
from areca.specs import Spec, Stream, TokenizerSpec

ARECA_PLUGIN_API = 1

SAMPLE_RATE_HZ = 24_000
FRAME_RATE_HZ = 75
CODEBOOK_SIZE = 1024
BITS_PER_CODE = 10
BANDWIDTHS_KBPS = (1.5, 3.0, 6.0, 12.0, 24.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodecConfig:
    """Options of the tokenizer ``encodec``."""

    bandwidth_kbps: float = 6.0
    """Bandwidth in kbit/s, which decides the number of streams: 1.5, 3, 6, 12 or 24 give 2, 4, 8, 16 or 32."""
    sample_rate_hz: int = 24_000
    """Rate of the model. Must be 24000: the 48 kHz model does not produce one sequence of codes."""
    weights: Path | None = None
    """State dict of the 24 kHz model (.th, .pt or .safetensors) (default: the published weights, downloaded once)."""
    batch_s: float = runtime(0.0)
    """Seconds of audio in a batch, padding included (0: one recording at a time, the fastest on a CPU)."""


def count_quantizers(bandwidth_kbps: float) -> int:
    """Return the number of residual quantizers at a bandwidth: bits per second / frame rate / bits per code."""
    return round(bandwidth_kbps * 1000 / (FRAME_RATE_HZ * BITS_PER_CODE))


def spec(config: EncodecConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return one stream at 75 Hz per residual quantizer, coarsest first.

    Raises:
        InvalidConfig: the model does not have the bandwidth or rate, or the weights file does not exist.
    """
    _check(config)
    streams = (
        Stream(f"rvq-{k}", CODEBOOK_SIZE, float(FRAME_RATE_HZ)) for k in range(count_quantizers(config.bandwidth_kbps))
    )
    return TokenizerSpec(tuple(streams), SAMPLE_RATE_HZ)


def _check(config: EncodecConfig) -> None:
    if config.sample_rate_hz == 48_000:
        raise InvalidConfig(
            "tokenizer encodec: sample_rate_hz: expected 24000, got 48000: the 48 kHz model cuts audio into "
            "overlapping segments, each with a scale, so its codes are not one sequence; use sample_rate_hz: 24000"
        )
    if config.sample_rate_hz != SAMPLE_RATE_HZ:
        raise InvalidConfig(
            f"tokenizer encodec: sample_rate_hz: expected {SAMPLE_RATE_HZ}, got {config.sample_rate_hz}; "
            f"audio at other rates is resampled"
        )
    if config.bandwidth_kbps not in BANDWIDTHS_KBPS:
        known = ", ".join(f"{b:g}" for b in BANDWIDTHS_KBPS)
        raise InvalidConfig(
            f"tokenizer encodec: bandwidth_kbps: expected one of {known}, got {config.bandwidth_kbps:g}"
        )
    if config.weights is not None and not config.weights.is_file():
        raise InvalidConfig(f"tokenizer encodec: weights: {config.weights} is not a file; give a .th or .safetensors")


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare the tokenizer ``encodec``."""
    yield Component(
        kind=Kind.TOKENIZER,
        name="encodec",
        config=EncodecConfig,
        spec="areca_encodec:spec",
        target="areca_encodec.model:EncodecTokenizer",
        summary="EnCodec, 24 kHz: 2 to 32 residual codebooks of 1024 codes at 75 Hz; decodes",
        license="Apache-2.0",
        requires=("torch", "torchaudio", "encodec"),
        tags=frozenset({"decode"}),
        extra="encodec",
        paper="https://arxiv.org/abs/2210.13438",
        weights_license="CC-BY-NC-4.0",
    )
