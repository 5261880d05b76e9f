"""The specs of the two vocoders, from their options and the spec of the tokenizer. No torch."""

from __future__ import annotations

from collections.abc import Mapping

from areca.errors import IncompatibleParts, InvalidConfig
from areca.specs import Spec, TokenizerSpec, VocoderSpec
from areca_unit_hifigan.options import SAMPLE_RATE_HZ, HubUnitHifiganConfig, UnitHifiganConfig
from areca_unit_hifigan.properties import vocoder_properties


def frames_per_unit(config: UnitHifiganConfig, tokenizer: TokenizerSpec) -> int:
    """Return the frames of the network for each unit, or for each frame in which units' durations are counted.

    Raises:
        IncompatibleParts: the tokenizer has several streams or no rate, or its rate does not divide that of the frames.
    """
    rate_hz = _unit_rate_hz("unit-hifigan", tokenizer)
    frame_rate_hz = SAMPLE_RATE_HZ / config.hop
    if frame_rate_hz % rate_hz:
        raise IncompatibleParts(
            f"unit-hifigan: strides of {config.hop} samples give {frame_rate_hz:g} frames a second, which units at "
            f"{rate_hz:g} Hz do not divide; give strides with another product"
        )
    return round(frame_rate_hz / rate_hz)


def spec(config: UnitHifiganConfig, needs: Mapping[str, Spec]) -> VocoderSpec:
    """Return the tokenizer's stream and 16 kHz.

    Raises:
        IncompatibleParts: as for `frames_per_unit`.
    """
    tokenizer = _tokenizer(needs)
    frames_per_unit(config, tokenizer)
    return VocoderSpec(tokenizer.streams, SAMPLE_RATE_HZ)


def hub_spec(config: HubUnitHifiganConfig, needs: Mapping[str, Spec]) -> VocoderSpec:
    """Return the tokenizer's stream and the rate of the model's audio.

    Raises:
        InvalidConfig: areca does not know the model, `path` is not a vocoder's directory, or the model does not have
            the speaker or needs the language.
        IncompatibleParts: the model was trained on other units.
    """
    tokenizer = _tokenizer(needs)
    known = vocoder_properties(config.model, config.path)
    if not 0 <= config.speaker < known.speakers:
        raise InvalidConfig(
            f"hub-unit-hifigan: speaker: expected 0 to {known.speakers - 1}, got {config.speaker}; "
            f"{config.source} has {known}"
        )
    if config.language is None and known.languages > 1:
        raise InvalidConfig(
            f"hub-unit-hifigan: language: {config.source} speaks {known.languages} languages; name one, as language=eng"
        )
    rate_hz, stream = _unit_rate_hz("hub-unit-hifigan", tokenizer), tokenizer.streams[0]
    deduplicated = stream.frame_rate_hz is None
    if (stream.size, rate_hz, deduplicated) != (known.units, known.unit_rate_hz, known.deduplicated):
        kind = "deduplicated units" if deduplicated else "units"
        raise IncompatibleParts(
            f"hub-unit-hifigan: {config.source} speaks {known}; got {stream.size} {kind} at {rate_hz:g} Hz"
        )
    return VocoderSpec(tokenizer.streams, known.sample_rate_hz)


def _tokenizer(needs: Mapping[str, Spec]) -> TokenizerSpec:
    tokenizer = needs["tokenizer"]
    assert isinstance(tokenizer, TokenizerSpec), "core passes a part of the declared kind for each need"
    return tokenizer


def _unit_rate_hz(name: str, tokenizer: TokenizerSpec) -> float:
    """Return the rate of a tokenizer's units, or of the frames in which their durations are counted."""
    if len(tokenizer.streams) != 1:
        streams = ", ".join(map(str, tokenizer.streams))
        raise IncompatibleParts(f"{name}: expected a tokenizer of one stream, got {streams}")
    rate_hz = tokenizer.streams[0].frame_rate_hz or tokenizer.base_rate_hz
    if rate_hz is None:
        raise IncompatibleParts(f"{name}: expected units with a rate or with durations, got {tokenizer.streams[0]}")
    return rate_hz
