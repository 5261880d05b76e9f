"""Properties of a vocoder that are known without its weights: of published models, and those in a config.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from areca.errors import InvalidConfig, quote, suggest
from areca.files.reading import read_json

CONFIG_FILE = "config.json"
FAMILIES = ("seamless_m4t", "seamless_m4t_v2")
"""Values of ``model_type`` whose vocoder is a code HiFi-GAN."""
FRAMES_PER_UNIT, DEDUPLICATED, SPEAKERS = "frames_per_unit", "deduplicated", "speakers"
"""Keys that `unit-hifigan` adds to a config.json. Published models lack them."""


@dataclass(frozen=True, slots=True)
class VocoderProperties:
    """The properties that decide which units a vocoder speaks.

    Args:
        units: number of distinct units.
        unit_rate_hz: units per second; of deduplicated ones, frames per second in which durations are counted.
        sample_rate_hz: rate of the audio.
        speakers, languages: how many there are.
        deduplicated: whether the units are deduplicated, so that durations are predicted.
    """

    units: int
    unit_rate_hz: float
    sample_rate_hz: int
    speakers: int = 1
    languages: int = 1
    deduplicated: bool = True

    def __str__(self) -> str:
        kind = "deduplicated units" if self.deduplicated else "units"
        voices = f"{self.speakers} speaker(s), {self.languages} language(s)"
        return f"{self.units} {kind} at {self.unit_rate_hz:g} Hz, {voices}"


_SEAMLESS = VocoderProperties(10_000, 50.0, 16_000, speakers=200, languages=36)
PUBLISHED: Mapping[str, VocoderProperties] = MappingProxyType(
    {
        "facebook/hf-seamless-m4t-medium": _SEAMLESS,
        "facebook/hf-seamless-m4t-large": _SEAMLESS,
        "facebook/seamless-m4t-v2-large": _SEAMLESS,
    }
)
"""Published models by hub id."""


def vocoder_properties(model: str, path: Path | None) -> VocoderProperties:
    """Return the properties of the vocoder in a directory, or, if `path` is None, of a published model.

    Raises:
        InvalidConfig: the directory has no config.json of SeamlessM4T, or the model is not known.
    """
    if path is not None:
        return read_properties(path)
    if model not in PUBLISHED:
        raise InvalidConfig(
            f"hub-unit-hifigan: model: expected a known model, got {quote(model)}{suggest(model, PUBLISHED)}\n"
            f"  known: {', '.join(PUBLISHED)}\n"
            f"  for another model on the hub: hf download ORG/NAME --local-dir DIR, and give DIR as `path`"
        )
    return PUBLISHED[model]


def read_properties(directory: Path) -> VocoderProperties:
    """Return the properties in a directory's ``config.json``.

    Raises:
        InvalidConfig: there is no such file, or it is not a configuration of SeamlessM4T.
    """
    where = f"hub-unit-hifigan: path: {directory / CONFIG_FILE}"
    try:
        config = read_json(directory / CONFIG_FILE, links=True, infinity=True, error=InvalidConfig)
    except OSError as error:
        raise InvalidConfig(f"{where} cannot be read; give a directory in the hub's layout") from error
    if (family := config.get("model_type")) not in FAMILIES:
        raise InvalidConfig(f"{where}: expected model_type {' or '.join(FAMILIES)}, got {quote(family)}")
    try:
        return _parse(config)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise InvalidConfig(f"{where}: not a configuration of SeamlessM4T: {type(error).__name__}: {error}") from error


def _parse(config: Mapping[str, Any]) -> VocoderProperties:
    """Return the properties in a configuration; a value that it leaves out has the default of transformers."""
    rate_hz = int(config.get("sampling_rate", 16_000))
    hop = math.prod(config.get("upsample_rates", (5, 4, 4, 2, 2)))
    return VocoderProperties(
        units=int(config.get("unit_hifi_gan_vocab_size", 10_000)),
        unit_rate_hz=rate_hz / hop / int(config.get(FRAMES_PER_UNIT, 1)),
        sample_rate_hz=rate_hz,
        speakers=int(config.get("vocoder_num_spkrs", 200)),
        languages=int(config.get("vocoder_num_langs", 36)),
        deduplicated=bool(config.get(DEDUPLICATED, True)),
    )
