"""Properties of a codec that are known without its weights: those of published models, and those in a config.json."""

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
class CodecProperties:
    """The properties that determine a codec's streams.

    Args:
        sample_rate_hz: rate of the audio.
        hop: samples per frame.
        codebooks: number of codebooks, the most streams.
        size: codes in a codebook.
        semantic: how many of the first codebooks belong to a separate semantic quantizer.
        bandwidths_kbps: valid bandwidths, for a codec that is configured by bandwidth.
    """

    sample_rate_hz: int
    hop: int
    codebooks: int
    size: int
    semantic: int = 0
    bandwidths_kbps: tuple[float, ...] = ()

    @property
    def frame_rate_hz(self) -> float:
        """Codes per second in each stream."""
        return self.sample_rate_hz / self.hop

    def __str__(self) -> str:
        parts = (
            f"{self.codebooks} codebooks of {self.size}, one frame per {self.hop} samples at {self.sample_rate_hz} Hz"
        )
        kbps = f", at {', '.join(f'{b:g}' for b in self.bandwidths_kbps)} kbps" if self.bandwidths_kbps else ""
        return f"{parts}{kbps}" if not self.semantic else f"{parts}, {self.semantic} of them semantic"


_XCODEC = CodecProperties(16_000, 320, 8, 1024, bandwidths_kbps=(0.5, 1.0, 1.5, 2.0, 4.0))

PUBLISHED: Mapping[str, Mapping[str, CodecProperties]] = MappingProxyType(
    {
        "mimi": {"kyutai/mimi": CodecProperties(24_000, 1920, 32, 2048, semantic=1)},
        "dac": {
            "descript/dac_16khz": CodecProperties(16_000, 320, 12, 1024),
            "descript/dac_24khz": CodecProperties(24_000, 320, 32, 1024),
            "descript/dac_44khz": CodecProperties(44_100, 512, 9, 1024),
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
"""By family (the name of the tokenizer, and the ``model_type`` of transformers), then by hub id."""


def codec_properties(family: str, model: str, path: Path | None) -> CodecProperties:
    """Return the properties of the model in a directory, or, if `path` is None, of a published model.

    Raises:
        InvalidConfig: the directory has no config.json of this family, or the model is not known.
    """
    if path is not None:
        return read_properties(family, path)
    known = PUBLISHED[family]
    if model not in known:
        raise InvalidConfig(
            f"tokenizer {family}: model: expected a known model, got {model!r}{suggest(model, known)}\n"
            f"  known: {', '.join(known)}\n"
            f"  for another model on the hub: hf download ORG/NAME --local-dir DIR, and give DIR as `path`"
        )
    return known[model]


def read_properties(family: str, directory: Path) -> CodecProperties:
    """Return the properties in a directory's ``config.json``.

    Raises:
        InvalidConfig: there is no such file, or it is not a configuration of this family.
    """
    where = f"tokenizer {family}: path: {directory / CONFIG_FILE}"
    try:
        config = read_json(directory / CONFIG_FILE, links=True, infinity=True, error=InvalidConfig)
    except OSError as error:
        raise InvalidConfig(f"{where} cannot be read; give a directory in the hub's layout") from error
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise InvalidConfig(f"{where}: not a transformers configuration: it has no `model_type`")
    if model_type != family:
        hint = f"; use `name: {model_type}`" if model_type in PUBLISHED else ""
        raise InvalidConfig(f"{where}: expected model_type {family!r}, got {model_type!r}{hint}")
    try:
        return _READERS[family](config)
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, IndexError) as error:
        raise InvalidConfig(f"{where}: not a configuration of {family}: {type(error).__name__}: {error}") from error


# If a config.json leaves a value out, the default of transformers applies.


def _mimi(config: Mapping[str, Any]) -> CodecProperties:
    if (channels := config.get("audio_channels", 1)) != 1:
        raise ValueError(f"expected 1 audio channel, got {channels}")
    rate_hz = int(config.get("sampling_rate", 24_000))
    # 2 is the stride of the convolution between the encoder's rate and the rate of the codes.
    hop = 2 * math.prod(config.get("upsampling_ratios") or (8, 6, 5, 4))
    if frame_rate_hz := config.get("frame_rate"):
        hop = round(rate_hz / frame_rate_hz)
    return CodecProperties(
        rate_hz,
        hop,
        int(config.get("num_quantizers", 32)),
        int(config.get("codebook_size", 2048)),
        semantic=int(config.get("num_semantic_quantizers", 1)),
    )


def _dac(config: Mapping[str, Any]) -> CodecProperties:
    # `hop_length` is unreliable: descript/dac_24khz has 512 there, but its strides multiply to 320.
    hop = math.prod(config.get("downsampling_ratios", (2, 4, 8, 8)))
    codebooks, size = int(config.get("n_codebooks", 9)), int(config.get("codebook_size", 1024))
    return CodecProperties(int(config.get("sampling_rate", 16_000)), hop, codebooks, size)


def _xcodec(config: Mapping[str, Any]) -> CodecProperties:
    acoustic = config.get("acoustic_model_config") or {}
    hop = math.prod(acoustic.get("downsampling_ratios", (8, 5, 4, 2)))
    rate_hz, size = int(config.get("sample_rate", 16_000)), int(config.get("codebook_size", 1024))
    bandwidths = tuple(float(b) for b in config.get("target_bandwidths", (0.5, 1, 1.5, 2, 4)))
    # The model builds as many codebooks as its last bandwidth allows, in whole bits and whole frames per second.
    codebooks = int(1000 * bandwidths[-1] // (math.ceil(rate_hz / hop) * math.ceil(math.log2(size))))
    return CodecProperties(rate_hz, hop, codebooks, size, bandwidths_kbps=bandwidths)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], CodecProperties]] = {"mimi": _mimi, "dac": _dac, "xcodec": _xcodec}
