"""A vocoder for speech units: a small convolutional network from units to log-mel, then phase reconstruction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from areca import Component, Kind, hookimpl, runtime
from areca.errors import IncompatibleParts
from areca.specs import Spec, TokenizerSpec, VocoderSpec

ARECA_PLUGIN_API = 1
SAMPLE_RATE_HZ = 16_000
MEL_RATE_HZ = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitMelConfig:
    """Options of `unit-mel`."""

    voice: str | None = None
    """Speaker whose recordings (column `audio`) are the training data; null: the translated side (`target_audio`)."""
    speech_s: float = 3_600.0
    """Maximum seconds of speech to train on."""
    width: int = 192
    """Channels of the network."""
    layers: int = 5
    """Convolutional blocks at the units' rate."""
    fine_layers: int = 1
    """Convolutional blocks at the rate of mel frames. One costs as much time as several at the units' rate."""
    longest: int = 50
    """Maximum predicted duration of a deduplicated unit, in frames of the base rate."""
    steps: int = 1_500
    """Training steps."""
    batch: int = 16
    """Utterances in a training step, of similar length."""
    longest_s: float = 8.0
    """Maximum seconds of an utterance in training; longer ones are cut."""
    learning_rate: float = 2e-3
    """Peak learning rate (AdamW; linear warm-up over 5 % of the steps, cosine to 0)."""
    weight_decay: float = 0.01
    """Weight decay of AdamW."""
    phase_iterations: int = 48
    """Griffin-Lim iterations in synthesis; its time is proportional to them."""
    weights_dtype: Literal["float32", "float16"] = "float32"
    """Type of the stored weights; computation is always in float32."""
    checkpoint_steps: int = runtime(100)
    """Training steps between two saved states; an interrupted training loses at most this many steps."""

    def __post_init__(self) -> None:
        positive = ("speech_s", "width", "layers", "longest", "steps", "batch", "longest_s", "checkpoint_steps")
        for name in positive:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("fine_layers", "phase_iterations"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


def unit_rate_hz(tokenizer: TokenizerSpec) -> float:
    """Return the rate of a tokenizer's units, or of the frames in which their durations are counted.

    Raises:
        IncompatibleParts: the tokenizer has several streams or no rate, or a unit does not span whole mel frames.
    """
    if len(tokenizer.streams) != 1:
        streams = ", ".join(map(str, tokenizer.streams))
        raise IncompatibleParts(f"unit-mel: expected a tokenizer of one stream, got {streams}")
    rate = tokenizer.streams[0].frame_rate_hz or tokenizer.base_rate_hz
    if rate is None or MEL_RATE_HZ % rate:
        raise IncompatibleParts(f"unit-mel: expected units whose rate divides {MEL_RATE_HZ} Hz, got {rate} Hz")
    return rate


def spec(config: UnitMelConfig, needs: Mapping[str, Spec]) -> VocoderSpec:
    """Return the tokenizer's stream and 16 kHz.

    Raises:
        IncompatibleParts: as for `unit_rate_hz`.
    """
    tokenizer = needs["tokenizer"]
    assert isinstance(tokenizer, TokenizerSpec), "core passes a part of the declared kind for each need"
    unit_rate_hz(tokenizer)
    return VocoderSpec(tokenizer.streams, SAMPLE_RATE_HZ)


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `unit-mel`."""
    yield Component(
        kind=Kind.VOCODER,
        name="unit-mel",
        config=UnitMelConfig,
        spec="areca_unitmel:spec",
        target="areca_unitmel.model:UnitMel",
        summary="speech units to log-mel by a convolutional net, then Griffin-Lim; one voice, that of its data",
        license="Apache-2.0",
        needs={"tokenizer": Kind.TOKENIZER},
        requires=("torch", "safetensors"),
        tags=frozenset({"fit", "resume", "stream"}),
        paper="https://arxiv.org/abs/2104.00355",
        check={
            "tokenizer": {"name": "mfcc-kmeans", "clusters": 8},
            "width": 16,
            "layers": 1,
            "steps": 4,
            "batch": 2,
            "checkpoint_steps": 2,
            "phase_iterations": 4,
        },
    )
