"""The options and specs of `soundstream` and `soundstream-levels`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from areca import runtime
from areca.errors import IncompatibleParts
from areca.specs import Spec, Stream, TokenizerSpec

_LEAST_CROP = 2_048
"""Samples in the longest window of the losses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundStreamConfig:
    """Options of `soundstream`.

    The defaults are a small codec of 2 M parameters, for training on a CPU. The size in the paper, with the rate and
    levels that AudioPaLM uses: ``strides: [2, 4, 5, 8], width: 32, dimension: 512, levels: 12, codebook_size: 1024,
    wave_width: 16, stft_width: 32, replace_below: 2, reconstruction_steps: 0``, with more speech, steps and larger
    batches, and a lower learning rate such as 1e-4.
    """

    sample_rate_hz: int = 16_000
    """Rate of the audio. Codes come at this rate divided by the product of the strides."""
    strides: tuple[int, ...] = (5, 4, 4, 4)
    """Downsampling of each block of the encoder; the decoder has the same in reverse."""
    width: int = 16
    """Channels of the first layer. Each block of the encoder doubles them."""
    dimension: int = 32
    """Size of the quantized vectors."""
    levels: int = 16
    """Number of codebooks, one per stream. Each quantizes the residual of the previous one."""
    codebook_size: int = 256
    """Codes in a codebook."""
    decay: float = 0.99
    """Decay of the moving averages that the codebooks follow."""
    replace_below: float = 0.25
    """A code whose moving average of uses per batch falls below this is replaced by a vector of the batch. The 2 of
    the paper needs batches in which codes are used much more often than that on average."""
    quantizer_dropout: bool = True
    """Whether each example in training uses a random number of levels, so that fewer levels can be decoded."""
    wave_width: int = 4
    """Channels of the first layer of the wave discriminators, a multiple of 4; later layers have up to 64 times as
    many."""
    stft_width: int = 4
    """Channels of the first layer of the STFT discriminator; later layers have up to 16 times as many."""
    adversarial_weight: float = 1.0
    """Weight of the hinge losses of the generator."""
    feature_weight: float = 100.0
    """Weight of the differences of the discriminators' inner layers."""
    reconstruction_weight: float = 1.0
    """Weight of the differences of log-mels and mels."""
    commitment_weight: float = 0.25
    """Weight of the squared distance of the encoder's output to its quantized vector. The paper states no such loss."""
    speech_s: float = 3_600.0
    """Maximum seconds of speech to train on, drawn by whole recordings; they are kept in memory."""
    crop_s: float = 1.0
    """Seconds of a training example, cut at random from a recording."""
    batch: int = 8
    """Examples in a training step."""
    steps: int = 4_000
    """Training steps."""
    reconstruction_steps: int = 1_000
    """Steps at the start without discriminators, which take much less time."""
    learning_rate: float = 1e-3
    """Peak learning rate of codec and discriminators (Adam, betas 0.5 and 0.9; linear warm-up over 2 % of the steps,
    cosine to 0)."""
    clip_norm: float = 10.0
    """Largest norm of the gradients of the codec, and of the discriminators."""
    weights_dtype: Literal["float32", "float16"] = "float32"
    """Type of the stored weights; computation is always in float32."""
    checkpoint_steps: int = runtime(100)
    """Training steps between two saved states; an interrupted training loses at most this many steps."""

    def __post_init__(self) -> None:
        _require_positive(self)
        if not self.strides or min(self.strides) < 1:
            raise ValueError(f"strides: expected one or more numbers of at least 1, got {list(self.strides)}")
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay: expected at least 0 and below 1, got {self.decay}")
        if self.wave_width % 4:
            raise ValueError(f"wave_width: expected a multiple of 4, got {self.wave_width}")
        if self.crop_frames * self.hop < _LEAST_CROP:
            raise ValueError(
                f"crop_s: expected at least {_LEAST_CROP / self.sample_rate_hz:g} at {self.sample_rate_hz} Hz, got "
                f"{self.crop_s}"
            )

    @property
    def hop(self) -> int:
        """Samples in a frame."""
        return math.prod(self.strides)

    @property
    def frame_rate_hz(self) -> float:
        """Codes per second in each stream."""
        return self.sample_rate_hz / self.hop

    @property
    def crop_frames(self) -> int:
        """Frames of a training example."""
        return round(self.crop_s * self.frame_rate_hz)


def _require_positive(config: SoundStreamConfig) -> None:
    for name in ("sample_rate_hz", "width", "dimension", "levels", "codebook_size", "wave_width", "stft_width", "batch",
                 "steps", "speech_s", "crop_s", "learning_rate", "clip_norm", "checkpoint_steps"):  # fmt: skip
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} must be positive, got {getattr(config, name)}")
    for name in ("replace_below", "reconstruction_steps", "adversarial_weight", "feature_weight",
                 "reconstruction_weight", "commitment_weight"):  # fmt: skip
        if not getattr(config, name) >= 0:
            raise ValueError(f"{name} must not be negative, got {getattr(config, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelsConfig:
    """Options of `soundstream-levels`."""

    levels: int = 4
    """Number of codebooks to use, coarsest first."""

    def __post_init__(self) -> None:
        if self.levels < 1:
            raise ValueError(f"levels must be positive, got {self.levels}")


def spec(config: SoundStreamConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return `config.levels` streams of `config.codebook_size` codes, coarsest first."""
    streams = (Stream(f"rvq-{k}", config.codebook_size, config.frame_rate_hz) for k in range(config.levels))
    return TokenizerSpec(tuple(streams), config.sample_rate_hz)


def levels_spec(config: LevelsConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return the first `config.levels` streams of the inner tokenizer.

    Raises:
        IncompatibleParts: the inner tokenizer has fewer.
    """
    inner = needs["tokenizer"]
    assert isinstance(inner, TokenizerSpec), "core passes a part of the declared kind for each need"
    if config.levels > len(inner.streams):
        raise IncompatibleParts(
            f"soundstream-levels: levels: expected at most {len(inner.streams)}, the streams of its tokenizer, got "
            f"{config.levels}"
        )
    return replace(inner, streams=inner.streams[: config.levels], tags=frozenset())
