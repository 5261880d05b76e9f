"""The options of each component. Base classes come first."""

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
    """Number of MFCCs per frame; their first and second deltas are appended."""
    sample_frames: int = 200_000
    """Maximum number of frames of training speech to cluster, drawn by whole utterances."""

    def __post_init__(self) -> None:
        _require_positive(clusters=self.clusters, coefficients=self.coefficients, sample_frames=self.sample_frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Options common to the tokenizers that train a speech encoder."""

    width: int = 144
    """Channels of the encoder."""
    layers: int = 4
    """Residual layers of the encoder."""
    heads: int = 0
    """Attention heads of each layer; must divide `width` (0: only convolutions, which learn more in the same time)."""
    kernel: int = 5
    """Kernel size of a layer's convolution, in frames of 40 ms; must be odd."""
    expansion: int = 2
    """Channels inside a layer, as a multiple of `width`."""
    clusters: int = 256
    """Number of units."""
    steps: int = 3_000
    """Training steps of the encoder."""
    batch_s: float = 45.0
    """Seconds of speech in a training batch, padding included."""
    learning_rate: float = 2e-3
    """Peak learning rate (AdamW; linear warm-up over 5 % of the steps, cosine to 0)."""
    weight_decay: float = 0.01
    """Weight decay of AdamW on the weight matrices."""
    speaker_rows: int = 1_000
    """Maximum number of training rows per speaker: beyond it, more rows of the same speaker teach little."""
    dropout: float = 0.0
    """Share of residual activations dropped in training."""
    stretch: float = 0.15
    """Augmentation: the tempo varies by up to this share."""
    warp: float = 0.1
    """Augmentation: the frequency axis is stretched by up to this share, as by another vocal tract."""
    echo: float = 0.2
    """Augmentation: share of the utterances that get an echo, as in a room."""
    noise: float = 0.1
    """Augmentation: share of the utterances that get noise."""
    masks: int = 1
    """Augmentation: number of time bands and of frequency bands that are masked (SpecAugment)."""
    sample_frames: int = 200_000
    """Maximum number of frames of training speech to cluster, drawn by whole utterances."""
    weights_dtype: Literal["float32", "float16"] = "float32"
    """Type of the stored weights; computation is always in float32."""
    encode_batch_s: float = runtime(60.0)
    """Maximum seconds of speech in an encoding batch, padding included; a corpus is encoded 30 s at a time."""
    checkpoint_steps: int = runtime(50)
    """Training steps between two saved states; an interrupted training loses at most this many steps."""

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

    @property
    def feature_size(self) -> int | None:
        """Dimensions of the vectors that are clustered; None: the training decides it."""
        return self.width


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedConfig(EncoderConfig):
    """Options common to the tokenizers whose encoder is trained only on audio, by masked prediction."""

    heads: int = 4
    """Attention heads of each layer; must divide `width` (0: only convolutions)."""
    layer: int = 2
    """Layer whose output is clustered, from 1 to `layers`. Middle layers carry most of the spoken content."""
    masks: int = 0
    """Augmentation: number of time bands and of frequency bands that are masked (SpecAugment), besides the prediction
    mask."""
    mask_share: float = 0.4
    """Share of the frames that are masked for prediction."""
    mask_span: int = 10
    """Length of a masked span, in frames of 40 ms."""

    def __post_init__(self) -> None:
        EncoderConfig.__post_init__(self)
        _require_layer(self.layer, self.layers)
        if not 0 < self.mask_share < 1 or self.mask_span < 1:
            raise ValueError(f"expected 0 < mask_share < 1 and mask_span >= 1, got {self.mask_share}, {self.mask_span}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsmV1Config(MaskedConfig):
    """Options of `usm-v1`."""

    codebooks: int = 4
    """Number of random codebooks, each with a separate softmax."""
    codebook_size: int = 1024
    """Codes in a codebook."""
    codebook_dim: int = 16
    """Dimensions of a code."""

    def __post_init__(self) -> None:
        MaskedConfig.__post_init__(self)
        _require_positive(codebooks=self.codebooks, codebook_size=self.codebook_size, codebook_dim=self.codebook_dim)


@dataclass(frozen=True, slots=True, kw_only=True)
class W2vBertNanoConfig(MaskedConfig):
    """Options of `w2v-bert-nano`."""

    codebook_size: int = 512
    """Codes of the trained quantizer."""
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
    """Steps of BEST-RQ pretraining on audio, before the training with the ASR loss (0: none). Encoder, batches and
    augmentation follow the options here, except that `masks` is 0; all else has the defaults of `usm-v1`."""
    quantizer: Literal["kmeans", "vq", "fsq"] = "kmeans"
    """Origin of the units. ``kmeans``: clusters of `features`, after training. ``vq`` and ``fsq``: the codes of a
    bottleneck before the ASR head, trained with it; ``vq`` trains its codes, ``fsq`` has a fixed grid."""
    features: Literal["posteriors", "layer"] = "posteriors"
    """With `quantizer: kmeans`, the vectors to cluster: the character probabilities of the ASR head, or a layer's
    output. With 256 clusters, posteriors keep the encoder's accuracy; a layer doubles the errors."""
    layer: int = 4
    """With `features: layer`, the layer to cluster, from 1 to `layers`."""
    code_dim: int = 16
    """With `quantizer: vq`, dimensions of a code."""
    levels: tuple[int, ...] = (4, 4, 4, 4)
    """With `quantizer: fsq`, number of values in each dimension; their product must be `clusters`."""

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

    @property
    def feature_size(self) -> int | None:
        """Dimensions of the vectors that are clustered; None: posteriors, one for each character of the corpus."""
        if self.quantizer == "kmeans":
            return self.width if self.features == "layer" else None
        return self.code_dim if self.quantizer == "vq" else len(self.levels)


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupConfig:
    """`dedup` has no options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmeansConfig:
    """Options of `kmeans`."""

    clusters: int = 1024
    """Number of units."""
    sample_frames: int = 200_000
    """Maximum number of frames of training speech to cluster, drawn by whole recordings, source and target side."""

    def __post_init__(self) -> None:
        _require_positive(clusters=self.clusters, sample_frames=self.sample_frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class BpeConfig:
    """Options of `bpe`."""

    size: int = 1024
    """Number of units after merging, including the inner tokenizer's units; must be larger than their number."""
    sample_utterances: int = 20_000
    """Maximum number of training recordings, source and target side, to train the merges on; drawn at random."""

    def __post_init__(self) -> None:
        _require_positive(size=self.size, sample_utterances=self.sample_utterances)


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")


def _require_layer(layer: int, layers: int) -> None:
    if not 1 <= layer <= layers:
        raise ValueError(f"layer must be from 1 to layers={layers}, got {layer}")
