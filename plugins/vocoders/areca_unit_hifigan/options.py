"""Options of the two vocoders. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from areca import runtime

SAMPLE_RATE_HZ = 16_000
_POSITIVE = (
    *("speakers", "speech_s", "channels", "embedding", "segment", "steps", "batch", "learning_rate", "decay"),
    *("discriminator_channels", "checkpoint_steps"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitHifiganConfig:
    """Options of `unit-hifigan`. ``channels: 512`` gives the size in the paper; the default trains on a laptop."""

    voice: str | None = None
    """Speaker who speaks. Null: with one speaker, the translated side (`target_audio`) is the training data; with
    several, the one with the most recordings speaks."""
    speakers: int = 1
    """Speakers in training. Above 1, each has an embedding: those with the most recordings (column `audio`), `voice`
    among them."""
    speech_s: float = 3_600.0
    """Maximum seconds of speech to train on."""
    strides: tuple[int, ...] = (5, 4, 4, 2, 2)
    """Upsampling factors. Their product is the samples in a frame: 320 gives frames at 50 Hz, and the rate of the units
    must divide it."""
    channels: int = 256
    """Channels before the first upsampling, each of which halves them; 512 in the paper."""
    kernels: tuple[int, ...] = (3, 7, 11)
    """Kernel sizes of the residual blocks, all odd; there is one block of each size after every upsampling."""
    embedding: int = 128
    """Dimensions of a unit's embedding and of a speaker's, and channels of the duration predictor."""
    duration_dropout: float = 0.5
    """Dropout in the duration predictor."""
    segment: int = 8_960
    """Samples of audio that a training step takes from a recording; shorter recordings are left out."""
    steps: int = 5_000
    """Training steps."""
    batch: int = 8
    """Segments in a training step."""
    learning_rate: float = 2e-4
    """Initial learning rate of the vocoder and of the discriminators (AdamW, betas 0.8 and 0.99)."""
    decay: float = 0.999
    """Factor on the learning rate after each epoch, which is as many segments as there are recordings."""
    discriminator_channels: int = 256
    """Channels of the widest layers of the discriminators, which take most of the training time; 1024 in the paper."""
    mel_weight: float = 45.0
    """Weight of the log-mel loss. The adversarial loss has weight 1."""
    feature_weight: float = 2.0
    """Weight of feature matching, the difference inside the discriminators."""
    duration_weight: float = 1.0
    """Weight of the duration predictor's loss, the squared error of log(1 + duration)."""
    checkpoint_steps: int = runtime(100)
    """Training steps between two saved states; an interrupted training loses at most this many steps."""
    weights_dtype: Literal["float32", "float16"] = "float32"
    """Type of the stored weights; computation is always in float32."""

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("mel_weight", "feature_weight", "duration_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not self.strides or min(self.strides) < 2:
            raise ValueError(f"strides must be factors of 2 or more, got {list(self.strides)}")
        if self.channels % 2 ** len(self.strides):
            raise ValueError(f"channels must be divisible by {2 ** len(self.strides)}, got {self.channels}")
        if not self.kernels or any(k < 1 or k % 2 == 0 for k in self.kernels):
            raise ValueError(f"kernels must be odd, got {list(self.kernels)}")
        if not 0 <= self.duration_dropout < 1:
            raise ValueError(f"duration_dropout must be in [0, 1), got {self.duration_dropout}")
        if self.segment % self.hop:
            raise ValueError(f"segment must be a multiple of {self.hop}, the product of strides, got {self.segment}")

    @property
    def hop(self) -> int:
        """Samples in a frame."""
        return math.prod(self.strides)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubUnitHifiganConfig:
    """Options of `hub-unit-hifigan`."""

    model: str = "facebook/hf-seamless-m4t-medium"
    """Hub id of a SeamlessM4T model that areca knows; of its weights, only the vocoder's are loaded."""
    path: Path | None = None
    """Directory in the hub's layout (config.json, *.safetensors), instead of `model`: a whole SeamlessM4T model, a
    saved SeamlessM4TCodeHifiGan, or the artifact of a `unit-hifigan`."""
    revision: str = "main"
    """Branch, tag or commit of the hub model; only a commit always means the same weights."""
    speaker: int = 0
    """Number of the speaker who speaks."""
    language: str | None = None
    """Language to speak: its code in the model's generation_config.json, such as eng, or its number. Null: the only
    language of the model."""

    @property
    def source(self) -> str:
        """Origin of the weights, for messages."""
        return str(self.path or self.model)
