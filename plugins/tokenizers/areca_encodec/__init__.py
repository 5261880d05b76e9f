"""EnCodec at 24 kHz (Défossez et al. 2022, arXiv 2210.13438) as a tokenizer that also decodes."""

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
    """1.5, 3, 6, 12 or 24: 2, 4, 8, 16 or 32 residual quantizers."""
    sample_rate_hz: int = 24_000
    """Rate of the model; only the 24 kHz one gives one sequence of codes."""
    weights: Path | None = None
    """State dict of the 24 kHz model (.th, .pt or .safetensors); None: the published one, downloaded once."""
    batch_s: float = runtime(0.0)
    """Seconds of audio, padding included, encoded at once; 0: one recording at a time, the fastest on a CPU."""


def quantizers(bandwidth_kbps: float) -> int:
    """Return how many residual quantizers a bandwidth pays for: bits a second, by frame rate and bits a code."""
    return round(bandwidth_kbps * 1000 / (FRAME_RATE_HZ * BITS_PER_CODE))


def spec(config: EncodecConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return one stream of 75 Hz for each residual quantizer, coarsest first.

    Raises:
        InvalidConfig: a bandwidth or a rate that the model does not have, a weights file that is not there.
    """
    _check(config)
    streams = (
        Stream(f"rvq-{k}", CODEBOOK_SIZE, float(FRAME_RATE_HZ)) for k in range(quantizers(config.bandwidth_kbps))
    )
    return TokenizerSpec(tuple(streams), SAMPLE_RATE_HZ)


def _check(config: EncodecConfig) -> None:
    if config.sample_rate_hz == 48_000:
        raise InvalidConfig(
            "tokenizer encodec: the 48 kHz model cuts audio into overlapping segments and gives each a scale beside "
            "its codes: they are not one sequence, and do not give the audio back alone; use sample_rate_hz: 24000"
        )
    if config.sample_rate_hz != SAMPLE_RATE_HZ:
        raise InvalidConfig(
            f"tokenizer encodec: sample_rate_hz: expected {SAMPLE_RATE_HZ}, got {config.sample_rate_hz}; "
            f"audio of another rate is resampled to it"
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
        summary="EnCodec 24 kHz: 2 to 32 residual codebooks of 1024 at 75 Hz, and back to audio",
        license="Apache-2.0",
        requires=("torch", "torchaudio", "encodec"),
        tags=frozenset({"decode"}),
        extra="encodec",
        paper="https://arxiv.org/abs/2210.13438",
        weights_license="CC-BY-NC-4.0",
    )
