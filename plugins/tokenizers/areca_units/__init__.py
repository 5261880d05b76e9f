"""Speech units at 25 Hz: k-means over MFCCs or over a speech encoder's layer, their deduplication and merging."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from areca import Component, Kind, hookimpl, runtime
from areca.errors import IncompatibleParts
from areca.specs import Spec, Stream, TokenizerSpec

ARECA_PLUGIN_API = 1
SAMPLE_RATE_HZ = 16_000
UNIT_RATE_HZ = 25.0
_SMALL = {"width": 16, "layers": 2, "layer": 1, "clusters": 8, "steps": 4, "batch_s": 8.0, "checkpoint_steps": 2}
"""Options under which the conformance kit trains an encoder in seconds."""
MOST_UNITS = 1 << 17
"""Units that `bpe` can merge: each is a character of Unicode's two private planes."""


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
    """Seconds of speech encoded at once, padding included."""
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

    features: Literal["posteriors", "layer"] = "posteriors"
    """What is clustered: the probabilities of the characters that are read off the last layer, or a layer's output.
    256 clusters of the former still read what the encoder reads; of the latter, twice as many errors."""
    layer: int = 4
    """With `features` layer: which, from 1 to `layers`."""

    def __post_init__(self) -> None:
        EncoderConfig.__post_init__(self)
        _require_layer(self.layer, self.layers)


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupConfig:
    """`dedup` has no options."""


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


def units_spec(config: MfccKmeansConfig | EncoderConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return one stream of `config.clusters` units at 25 Hz."""
    return TokenizerSpec((Stream("unit", config.clusters, UNIT_RATE_HZ),), SAMPLE_RATE_HZ)


def dedup_spec(config: DedupConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return the inner tokenizer's stream at a variable rate.

    Raises:
        IncompatibleParts: the inner tokenizer has several streams, or its rate varies already.
    """
    inner = _one_stream("dedup", needs, constant=True)
    return _of_variable_rate(inner, inner.streams[0].size)


def bpe_spec(config: BpeConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return one stream of `config.size` units at a variable rate, their durations in frames of the inner base rate.

    Raises:
        IncompatibleParts: the inner tokenizer has several streams, a variable rate without durations, too many units,
            or as many as there are to be after merging.
    """
    inner = _one_stream("bpe", needs)
    stream = inner.streams[0]
    if (stream.frame_rate_hz or inner.base_rate_hz) is None:
        raise IncompatibleParts(f"bpe: expected units with durations where their rate varies, got {stream} without")
    if stream.size > MOST_UNITS:
        raise IncompatibleParts(f"bpe: expected at most {MOST_UNITS} units to merge, got {stream}")
    if config.size <= stream.size:
        raise IncompatibleParts(
            f"bpe: expected a size above the {stream.size} units that are merged, got {config.size}; "
            f"try size: {4 * stream.size}"
        )
    return _of_variable_rate(inner, config.size)


def _one_stream(name: str, needs: Mapping[str, Spec], *, constant: bool = False) -> TokenizerSpec:
    inner = needs["tokenizer"]
    if not isinstance(inner, TokenizerSpec):
        raise IncompatibleParts(f"{name}: need 'tokenizer' is not a tokenizer but {type(inner).__name__}")
    if len(inner.streams) != 1 or (constant and inner.streams[0].frame_rate_hz is None):
        raise IncompatibleParts(
            f"{name}: expected a tokenizer of one stream{' at a constant rate' if constant else ''}, "
            f"got {len(inner.streams)} stream(s): {', '.join(map(str, inner.streams))}"
        )
    return inner


def _of_variable_rate(inner: TokenizerSpec, size: int) -> TokenizerSpec:
    [stream] = inner.streams
    base_rate_hz = stream.frame_rate_hz or inner.base_rate_hz
    return TokenizerSpec((Stream(stream.name, size, None),), inner.sample_rate_hz, inner.channels, base_rate_hz)


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `mfcc-kmeans`, `w2v-bert-nano`, `usm-v1`, `usm-v2`, `dedup` and `bpe`."""
    yield Component(
        kind=Kind.TOKENIZER,
        name="mfcc-kmeans",
        config=MfccKmeansConfig,
        spec="areca_units:units_spec",
        target="areca_units.mfcc:MfccKmeans",
        summary="k-means units of MFCCs at 25 Hz: the floor that a study starts from",
        requires=("torch", "torchaudio", "safetensors"),
        tags=frozenset({"fit"}),
        paper="https://arxiv.org/abs/2106.07447",
    )
    yield Component(
        kind=Kind.TOKENIZER,
        name="w2v-bert-nano",
        config=W2vBertNanoConfig,
        spec="areca_units:units_spec",
        target="areca_units.masked_units:W2vBertNano",
        summary="k-means units of a small w2v-BERT encoder trained here, 25 Hz",
        requires=("torch", "safetensors"),
        tags=frozenset({"fit", "resume"}),
        paper="https://arxiv.org/abs/2108.06209",
        check=_SMALL,
    )
    yield Component(
        kind=Kind.TOKENIZER,
        name="usm-v1",
        config=UsmV1Config,
        spec="areca_units:units_spec",
        target="areca_units.masked_units:UsmV1",
        summary="k-means units of a speech encoder trained by BEST-RQ, 25 Hz",
        requires=("torch", "safetensors"),
        tags=frozenset({"fit", "resume"}),
        paper="https://arxiv.org/abs/2202.01855",
        check=_SMALL,
    )
    yield Component(
        kind=Kind.TOKENIZER,
        name="usm-v2",
        config=UsmV2Config,
        spec="areca_units:units_spec",
        target="areca_units.usm_v2:UsmV2",
        summary="k-means units of a speech encoder trained with an ASR loss, 25 Hz",
        requires=("torch", "safetensors"),
        tags=frozenset({"fit", "resume"}),
        revision=2,
        paper="https://arxiv.org/abs/2306.12925",
        check=_SMALL,
    )
    yield Component(
        kind=Kind.TOKENIZER,
        name="dedup",
        config=DedupConfig,
        spec="areca_units:dedup_spec",
        target="areca_units.dedup:Dedup",
        summary="run-length deduplication of another tokenizer's units, with durations",
        needs={"tokenizer": Kind.TOKENIZER},
        requires=("torch",),
        paper="https://arxiv.org/abs/2104.00355",
    )
    yield Component(
        kind=Kind.TOKENIZER,
        name="bpe",
        config=BpeConfig,
        spec="areca_units:bpe_spec",
        target="areca_units.bpe:Bpe",
        summary="acoustic byte-pair encoding: frequent sequences of another tokenizer's units as one, with durations",
        needs={"tokenizer": Kind.TOKENIZER},
        requires=("torch", "tokenizers"),
        tags=frozenset({"fit"}),
        paper="https://arxiv.org/abs/2310.14580",
        check={"size": 24, "tokenizer": {"name": "mfcc-kmeans", "clusters": 8}},
    )
