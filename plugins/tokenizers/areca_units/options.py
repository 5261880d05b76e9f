"""The options of each component, in order of what they build on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from areca import runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class MfccKmeansConfig:
    """Options of `mfcc-kmeans`."""

    clusters: int = 256
    """Number of units."""
    coefficients: int = 13
    """Cepstral coefficients; their first and second differences are added."""
    sample_frames: int = 200_000
    """Frames of training speech that the clusters are fitted on, drawn by whole utterances."""

    def __post_init__(self) -> None:
        _require_positive(clusters=self.clusters, coefficients=self.coefficients, sample_frames=self.sample_frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Options of every tokenizer here that trains a speech encoder."""

    width: int = 144
    """Channels of the encoder."""
    layers: int = 4
    """Residual layers."""
    heads: int = 0
    """Attention heads of each layer; they divide `width`. 0: convolutions alone, which learn more in the same time."""
    kernel: int = 5
    """Frames of 40 ms that a layer's convolution sees; odd."""
    expansion: int = 2
    """Channels inside a layer, in widths."""
    clusters: int = 256
    """Number of units."""
    steps: int = 3_000
    """Training steps."""
    batch_s: float = 45.0
    """Seconds of speech in a training batch, padding included."""
    learning_rate: float = 2e-3
    """Peak of AdamW's learning rate; it warms up over 5 % of the steps and falls to 0 as a cosine."""
    weight_decay: float = 0.01
    """AdamW's decay of the weight matrices."""
    speaker_rows: int = 1_000
    """Rows of one speaker that are trained on, at most: what many rows of few speakers teach is soon learnt."""
    dropout: float = 0.0
    """Share of residual activations dropped in training."""
    stretch: float = 0.15
    """Tempo varies by up to this share in training."""
    warp: float = 0.1
    """The frequency axis is stretched by up to this share in training, as other vocal tracts would."""
    echo: float = 0.2
    """Share of training utterances to which an echo is added, as of a room."""
    noise: float = 0.1
    """Share of training utterances to which noise is added."""
    masks: int = 1
    """Bands of time and of frequency that are blanked in training (SpecAugment)."""
    sample_frames: int = 200_000
    """Frames of training speech that the clusters are fitted on, drawn by whole utterances."""
    weights_dtype: Literal["float32", "float16"] = "float32"
    """How the weights are stored; computing is always in float32."""
    encode_batch_s: float = runtime(60.0)
    """Seconds of speech encoded at once, padding included, at most; a corpus is handed over 30 s at a time."""
    checkpoint_steps: int = runtime(50)
    """An interrupted fit loses at most this many steps."""

    def __post_init__(self) -> None:
        _require_positive(
            width=self.width,
            layers=self.layers,
            expansion=self.expansion,
            speaker_rows=self.speaker_rows,
            clusters=self.clusters,
            steps=self.steps,
            batch_s=self.batch_s,
            sample_frames=self.sample_frames,
            encode_batch_s=self.encode_batch_s,
            checkpoint_steps=self.checkpoint_steps,
        )
        if self.heads < 0 or (self.heads and self.width % self.heads):
            raise ValueError(f"heads must divide width or be 0, got width={self.width}, heads={self.heads}")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedConfig(EncoderConfig):
    """Options of the tokenizers whose encoder learns from audio alone, by filling in what is masked."""

    heads: int = 4
    """Attention heads of each layer; they divide `width`. 0: convolutions alone."""
    layer: int = 2
    """The layer whose output is clustered, from 1 to `layers`: the middle ones say most of what is spoken."""
    masks: int = 0
    """Bands of time and of frequency that are blanked in training (SpecAugment), beside the mask that is filled in."""
    mask_share: float = 0.4
    """Share of the frames that is masked."""
    mask_span: int = 10
    """Frames of 40 ms that are masked together."""

    def __post_init__(self) -> None:
        EncoderConfig.__post_init__(self)
        _require_layer(self.layer, self.layers)
        if not 0 < self.mask_share < 1 or self.mask_span < 1:
            raise ValueError(f"expected 0 < mask_share < 1 and mask_span >= 1, got {self.mask_share}, {self.mask_span}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsmV1Config(MaskedConfig):
    """Options of `usm-v1`."""

    codebooks: int = 4
    """Random codebooks, each with a softmax of its own."""
    codebook_size: int = 1024
    """Codes in each of them."""
    codebook_dim: int = 16
    """Dimensions of a code."""

    def __post_init__(self) -> None:
        MaskedConfig.__post_init__(self)
        _require_positive(codebooks=self.codebooks, codebook_size=self.codebook_size, codebook_dim=self.codebook_dim)


@dataclass(frozen=True, slots=True, kw_only=True)
class W2vBertNanoConfig(MaskedConfig):
    """Options of `w2v-bert-nano`."""

    codebook_size: int = 512
    """Codes that the quantiser learns."""
    codebook_dim: int = 64
    """Dimensions of a code."""

    def __post_init__(self) -> None:
        MaskedConfig.__post_init__(self)
        _require_positive(codebook_size=self.codebook_size, codebook_dim=self.codebook_dim)
        if self.layers < 2:
            raise ValueError(f"layers must be at least 2, one for each loss, got {self.layers}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsmV2Config(EncoderConfig):
    """Options of `usm-v2`."""

    pretraining_steps: int = 0
    """Steps of BEST-RQ, on audio alone, that come before the ASR loss; 0: none. The encoder, the batches and their
    variations are as the options here say, the rest as `usm-v1` has it by default: its `masks` are 0 as well."""
    quantizer: Literal["kmeans", "vq", "fsq"] = "kmeans"
    """``kmeans`` of `features`, after training; ``vq``, ``fsq``: a bottleneck under the characters, trained with them.
    ``vq`` learns its codes; those of ``fsq`` are a grid."""
    features: Literal["posteriors", "layer"] = "posteriors"
    """With `quantizer` kmeans, what is clustered: the probabilities of the characters that are read off the last layer,
    or a layer's output. 256 clusters of the former still read what the encoder reads; of the latter, twice as many
    errors."""
    layer: int = 4
    """With `features` layer: which, from 1 to `layers`."""
    code_dim: int = 16
    """With `quantizer` vq: dimensions of a code."""
    levels: tuple[int, ...] = (4, 4, 4, 4)
    """With `quantizer` fsq: values of each dimension; their product is `clusters`."""

    def __post_init__(self) -> None:
        EncoderConfig.__post_init__(self)
        if self.features == "layer":
            _require_layer(self.layer, self.layers)
        _require_positive(code_dim=self.code_dim)
        if self.pretraining_steps < 0:
            raise ValueError(f"pretraining_steps must be 0 or more, got {self.pretraining_steps}")
        if min(self.levels, default=0) < 2:
            raise ValueError(f"levels must be at least 2 each, got {list(self.levels)}")
        if self.quantizer == "fsq" and math.prod(self.levels) != self.clusters:
            raise ValueError(
                f"with quantizer fsq, clusters must be the product of levels={list(self.levels)}, "
                f"{math.prod(self.levels)}; got {self.clusters}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupConfig:
    """`dedup` has no options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmeansConfig:
    """Options of `kmeans`."""

    clusters: int = 1024
    """Number of units."""
    sample_frames: int = 200_000
    """Training frames that are clustered, at most, drawn from whole recordings of both sides."""

    def __post_init__(self) -> None:
        _require_positive(clusters=self.clusters, sample_frames=self.sample_frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class BpeConfig:
    """Options of `bpe`."""

    size: int = 1024
    """Units after merging, the inner tokenizer's among them; more than it has."""
    sample_utterances: int = 20_000
    """Training recordings (both sides) that the merges are learnt on, at most, drawn at random."""

    def __post_init__(self) -> None:
        _require_positive(size=self.size, sample_utterances=self.sample_utterances)


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")


def _require_layer(layer: int, layers: int) -> None:
    if not 1 <= layer <= layers:
        raise ValueError(f"layer must be from 1 to layers={layers}, got {layer}")
