"""Options of `audiolm`. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from areca.fitting.codec_vocoder.options import CodecVocoderOptions

PAPER_SIZE: Mapping[str, int] = MappingProxyType({"layers": 12, "heads": 16, "width": 1024, "feed_forward": 4096})
"""Options that give the paper's size of each stage."""
MOST_COARSE = 4
"""Coarse levels of the paper, whose codec has 12 levels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioLMConfig(CodecVocoderOptions):
    """Options of `audiolm`. Each stage is an LM; by default it has 2.6 M parameters over 8 codebooks of 256 codes.

    The paper's stages have `layers: 12, heads: 16, width: 1024, feed_forward: 4096`.
    """

    coarse: int | None = None
    """Levels that the coarse stage predicts. The fine stage predicts the rest. Null: half of them, at most 4, as the
    paper has of 12."""
    layers: int = 4
    """Decoder layers of each stage."""
    heads: int = 4
    """Attention heads of a layer; `width` must be a multiple of twice their number."""
    width: int = 192
    """Width of the residual stream."""
    feed_forward: int = 768
    """Inner width of the SwiGLU feed-forward layers."""
    attention_dropout: float = 0.1
    """Dropout on attention weights in training."""
    coarse_steps: int = 6_000
    """Training steps of the coarse stage."""
    fine_steps: int = 3_000
    """Training steps of the fine stage."""
    duration_steps: int = 1_000
    """Training steps of the predictor of durations, for deduplicated units."""
    batch_s: float = 40.0
    """Seconds of speech in a training step, padding included; at least those of a crop."""
    coarse_crop_s: float = 10.0
    """Maximum seconds of an example of the coarse stage, drawn from a longer recording. Speech is generated in windows
    of this duration, voice prompt included."""
    fine_crop_s: float = 3.0
    """Maximum seconds of an example of the fine stage, and of the chunks in which it generates."""
    learning_rate: float = 1.5e-3
    """Peak learning rate (AdamW; linear warm-up over 5 % of the steps, cosine to 0)."""
    weight_decay: float = 0.05
    """Weight decay of AdamW."""
    coarse_temperature: float = 0.8
    """Temperature of sampling in the coarse stage."""
    fine_temperature: float = 0.6
    """Temperature of sampling in the fine stage."""

    def __post_init__(self) -> None:
        self.require_positive(
            "layers", "heads", "width", "feed_forward", "coarse_steps", "fine_steps", "duration_steps", "batch_s",
            "coarse_crop_s", "fine_crop_s", "coarse_temperature", "fine_temperature",
        )  # fmt: skip
        if self.coarse is not None and self.coarse < 1:
            raise ValueError(f"coarse must be at least 1, or null, got {self.coarse}")
        if self.width % (2 * self.heads):
            raise ValueError(f"width must be a multiple of 2 x heads = {2 * self.heads}, got {self.width}")
        if not 0 <= self.attention_dropout < 1:
            raise ValueError(f"attention_dropout must be in [0, 1), got {self.attention_dropout}")
        if self.batch_s < max(self.coarse_crop_s, self.fine_crop_s):
            raise ValueError(f"batch_s must be at least coarse_crop_s and fine_crop_s, got {self.batch_s}")
        if self.coarse_crop_s <= max(self.prompt_s, self.overlap_s):
            raise ValueError(f"coarse_crop_s must exceed prompt_s and overlap_s, got {self.coarse_crop_s}")
