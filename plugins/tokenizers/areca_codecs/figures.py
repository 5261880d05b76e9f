"""What is known of a codec before its weights are: the published configurations, and how to read a config.json."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from areca.errors import InvalidConfig, suggest
from areca.files.reading import read_json

CONFIG_FILE = "config.json"


@dataclass(frozen=True, slots=True)
class Facts:
    """The figures that a codec's streams follow from.

    Args:
        sample_rate_hz: rate of the audio.
        hop: samples in a frame.
        codebooks: most streams there are.
        size: entries of a codebook.
        semantic: how many of the codebooks, the first ones, are a semantic quantizer of their own.
        bandwidths_kbps: what a codec that is asked for a bandwidth can be asked for.
    """

    sample_rate_hz: int
    hop: int
    codebooks: int
    size: int
    semantic: int = 0
    bandwidths_kbps: tuple[float, ...] = ()

    @property
    def frame_rate_hz(self) -> float:
        """Codes a second in each stream."""
        return self.sample_rate_hz / self.hop

    def __str__(self) -> str:
        parts = (
            f"{self.codebooks} codebooks of {self.size}, a frame each {self.hop} samples of {self.sample_rate_hz} Hz"
        )
        kbps = f", at {', '.join(f'{b:g}' for b in self.bandwidths_kbps)} kbps" if self.bandwidths_kbps else ""
        return f"{parts}{kbps}" if not self.semantic else f"{parts}, {self.semantic} of them semantic"


_XCODEC = Facts(16_000, 320, 8, 1024, bandwidths_kbps=(0.5, 1.0, 1.5, 2.0, 4.0))

PUBLISHED: Mapping[str, Mapping[str, Facts]] = MappingProxyType(
    {
        "mimi": {"kyutai/mimi": Facts(24_000, 1920, 32, 2048, semantic=1)},
        "dac": {
            "descript/dac_16khz": Facts(16_000, 320, 12, 1024),
            "descript/dac_24khz": Facts(24_000, 320, 32, 1024),
            "descript/dac_44khz": Facts(44_100, 512, 9, 1024),
        },
        "xcodec": {
            "hf-audio/xcodec-hubert-librispeech": _XCODEC,
            "hf-audio/xcodec-wavlm-mls": _XCODEC,
            "hf-audio/xcodec-wavlm-more-data": _XCODEC,
            "hf-audio/xcodec-hubert-general": _XCODEC,
            "hf-audio/xcodec-hubert-general-balanced": _XCODEC,
        },
    }
)
"""By family, which is the name of the tokenizer and transformers' ``model_type``, then by hub id."""


def facts(family: str, model: str, path: Path | None) -> Facts:
    """Return the figures of a directory in the hub's layout, or, without one, of a published model.

    Raises:
        InvalidConfig: no directory, a config.json of something else, or a model that is not known.
    """
    if path is not None:
        return read(family, path)
    known = PUBLISHED[family]
    if model not in known:
        raise InvalidConfig(
            f"tokenizer {family}: model: expected one that areca knows, got {model!r}{suggest(model, known)}\n"
            f"  known by name: {', '.join(known)}\n"
            f"  for another model of the hub: hf download ORG/NAME --local-dir DIR, and give DIR as `path`"
        )
    return known[model]


def read(family: str, directory: Path) -> Facts:
    """Return the figures that ``config.json`` says.

    Raises:
        InvalidConfig: there is none, or it is not the configuration of this family.
    """
    where = f"tokenizer {family}: path: {directory / CONFIG_FILE}"
    try:
        config = read_json(directory / CONFIG_FILE, links=True, infinity=True, error=InvalidConfig)
    except OSError as error:
        raise InvalidConfig(f"{where} cannot be read; give a directory in the hub's layout") from error
    found = config.get("model_type")
    if not isinstance(found, str):
        raise InvalidConfig(f"{where}: not a transformers configuration: no `model_type` in it")
    if found != family:
        others = f"; use `name: {found}`" if found in PUBLISHED else ""
        raise InvalidConfig(f"{where}: expected model_type {family!r}, got {found!r}{others}")
    try:
        return _READERS[family](config)
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, IndexError) as error:
        raise InvalidConfig(f"{where}: not a configuration of {family}: {type(error).__name__}: {error}") from error


# A figure that is left out of a config.json is transformers' own default.


def _mimi(config: Mapping[str, Any]) -> Facts:
    if (channels := config.get("audio_channels", 1)) != 1:
        raise ValueError(f"expected 1 audio channel, got {channels}")
    rate_hz = int(config.get("sampling_rate", 24_000))
    # Two: the stride of the convolution between the encoder's rate and that of the codes.
    hop = 2 * math.prod(config.get("upsampling_ratios") or (8, 6, 5, 4))
    if frame_rate_hz := config.get("frame_rate"):
        hop = round(rate_hz / frame_rate_hz)
    return Facts(
        rate_hz,
        hop,
        int(config.get("num_quantizers", 32)),
        int(config.get("codebook_size", 2048)),
        semantic=int(config.get("num_semantic_quantizers", 1)),
    )


def _dac(config: Mapping[str, Any]) -> Facts:
    # Not `hop_length`: the file of descript/dac_24khz says 512 there, and its strides multiply to 320.
    hop = math.prod(config.get("downsampling_ratios", (2, 4, 8, 8)))
    codebooks, size = int(config.get("n_codebooks", 9)), int(config.get("codebook_size", 1024))
    return Facts(int(config.get("sampling_rate", 16_000)), hop, codebooks, size)


def _xcodec(config: Mapping[str, Any]) -> Facts:
    acoustic = config.get("acoustic_model_config") or {}
    hop = math.prod(acoustic.get("downsampling_ratios", (8, 5, 4, 2)))
    rate_hz, size = int(config.get("sample_rate", 16_000)), int(config.get("codebook_size", 1024))
    bandwidths = tuple(float(b) for b in config.get("target_bandwidths", (0.5, 1, 1.5, 2, 4)))
    # The model makes as many codebooks as its last bandwidth pays for, in whole bits and whole frames a second.
    codebooks = int(1000 * bandwidths[-1] // (math.ceil(rate_hz / hop) * math.ceil(math.log2(size))))
    return Facts(rate_hz, hop, codebooks, size, bandwidths_kbps=bandwidths)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Facts]] = {"mimi": _mimi, "dac": _dac, "xcodec": _xcodec}
