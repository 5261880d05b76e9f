"""Speech units at 25 Hz: k-means over MFCCs or over a speech encoder's layer; re-clustering, deduplication, merging."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from areca import Component, Kind, hookimpl
from areca.errors import IncompatibleParts
from areca.specs import Spec, Stream, TokenizerSpec

if TYPE_CHECKING:
    from areca_units.options import BpeConfig, DedupConfig, EncoderConfig, KmeansConfig, MfccKmeansConfig

ARECA_PLUGIN_API = 1
SAMPLE_RATE_HZ = 16_000
UNIT_RATE_HZ = 25.0
_SMALL = {"width": 16, "layers": 2, "layer": 1, "clusters": 8, "steps": 4, "batch_s": 8.0, "checkpoint_steps": 2}
"""Options with which the conformance kit trains an encoder in seconds."""
MOST_UNITS = 1 << 17
"""Maximum number of units that `bpe` can merge: each is a character in Unicode's two private planes."""


def units_spec(config: MfccKmeansConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return one stream of `config.clusters` units at 25 Hz."""
    return TokenizerSpec((Stream("unit", config.clusters, UNIT_RATE_HZ),), SAMPLE_RATE_HZ)


def encoder_spec(config: EncoderConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return one stream of `config.clusters` units at 25 Hz, and the size of the vectors that they cluster."""
    stream = Stream("unit", config.clusters, UNIT_RATE_HZ)
    return TokenizerSpec((stream,), SAMPLE_RATE_HZ, feature_size=config.feature_size)


def dedup_spec(config: DedupConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return the inner tokenizer's stream at a variable rate.

    Raises:
        IncompatibleParts: the inner tokenizer has several streams, or already has a variable rate.
    """
    inner = _require_one_stream("dedup", needs, constant=True)
    return _with_variable_rate(inner, inner.streams[0].size)


def kmeans_spec(config: KmeansConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return the inner tokenizer's stream with another number of units.

    Raises:
        IncompatibleParts: the inner tokenizer has several streams, or a variable rate.
    """
    inner = _require_one_stream("kmeans", needs, constant=True)
    [stream] = inner.streams
    clustered = Stream(stream.name, config.clusters, stream.frame_rate_hz)
    return replace(inner, streams=(clustered,))  # its vectors are those of the inner tokenizer


def bpe_spec(config: BpeConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return one stream of `config.size` units at a variable rate, with durations in frames of the inner base rate.

    Raises:
        IncompatibleParts: the inner tokenizer has several streams, a variable rate without durations, too many units,
            or at least `config.size` units.
    """
    inner = _require_one_stream("bpe", needs)
    stream = inner.streams[0]
    if (stream.frame_rate_hz or inner.base_rate_hz) is None:
        raise IncompatibleParts(f"bpe: expected units at a constant rate or with durations, got {stream} without")
    if stream.size > MOST_UNITS:
        raise IncompatibleParts(f"bpe: expected at most {MOST_UNITS} units to merge, got {stream}")
    if config.size <= stream.size:
        raise IncompatibleParts(
            f"bpe: expected a size above the {stream.size} units of the inner tokenizer, got {config.size}; "
            f"try size: {4 * stream.size}"
        )
    return _with_variable_rate(inner, config.size)


def _require_one_stream(name: str, needs: Mapping[str, Spec], *, constant: bool = False) -> TokenizerSpec:
    """Return the inner tokenizer's spec; refuse one with several streams or, if `constant`, a variable rate."""
    inner = needs["tokenizer"]
    if not isinstance(inner, TokenizerSpec):
        raise IncompatibleParts(f"{name}: need 'tokenizer': expected a tokenizer, got a {type(inner).__name__}")
    if len(inner.streams) != 1 or (constant and inner.streams[0].frame_rate_hz is None):
        raise IncompatibleParts(
            f"{name}: expected a tokenizer of one stream{' at a constant rate' if constant else ''}, "
            f"got {len(inner.streams)} stream(s): {', '.join(map(str, inner.streams))}"
        )
    return inner


def _with_variable_rate(inner: TokenizerSpec, size: int) -> TokenizerSpec:
    """Return the inner tokenizer's spec with `size` units at a variable rate."""
    [stream] = inner.streams
    base_rate_hz = stream.frame_rate_hz or inner.base_rate_hz
    return TokenizerSpec((Stream(stream.name, size, None),), inner.sample_rate_hz, inner.channels, base_rate_hz)


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `mfcc-kmeans`, `w2v-bert-nano`, `usm-v1`, `usm-v2`, `kmeans`, `dedup` and `bpe`."""
    yield _mfcc_kmeans()
    yield from _encoder_tokenizers()
    yield from _wrapping_tokenizers()


def _mfcc_kmeans() -> Component:
    return Component(
        kind=Kind.TOKENIZER,
        name="mfcc-kmeans",
        config="areca_units.options:MfccKmeansConfig",
        spec="areca_units:units_spec",
        target="areca_units.mfcc:MfccKmeans",
        summary="k-means units over MFCCs, 25 Hz: the baseline of a study",
        license="Apache-2.0",
        requires=("torch", "torchaudio", "safetensors"),
        tags=frozenset({"fit", "resume"}),
        revision=3,
        loads_revisions=frozenset({2}),  # revision 3 changed only k-means, so older artifacts load unchanged
        paper="https://arxiv.org/abs/2106.07447",
    )


def _encoder_tokenizers() -> Iterable[Component]:
    """Yield the tokenizers that train a speech encoder."""
    yield _encoder_tokenizer(
        "w2v-bert-nano",
        "W2vBertNanoConfig",
        "areca_units.masked_units:W2vBertNano",
        "k-means units over a small w2v-BERT encoder trained on the run's audio, 25 Hz",
        "https://arxiv.org/abs/2108.06209",
    )
    yield _encoder_tokenizer(
        "usm-v1",
        "UsmV1Config",
        "areca_units.masked_units:UsmV1",
        "k-means units over a speech encoder trained with BEST-RQ on the run's audio, 25 Hz",
        "https://arxiv.org/abs/2202.01855",
    )
    yield _encoder_tokenizer(
        "usm-v2",
        "UsmV2Config",
        "areca_units.usm_v2:UsmV2",
        "units of a speech encoder trained with an ASR loss on the run's audio and text, 25 Hz",
        "https://arxiv.org/abs/2306.12925",
    )


def _encoder_tokenizer(name: str, config: str, target: str, summary: str, paper: str) -> Component:
    return Component(
        kind=Kind.TOKENIZER,
        name=name,
        config=f"areca_units.options:{config}",
        spec="areca_units:encoder_spec",
        target=target,
        summary=summary,
        license="Apache-2.0",
        requires=("torch", "safetensors"),
        tags=frozenset({"fit", "resume", "features"}),
        revision=4,
        # Revision 3 changed only the batches of training, 4 only k-means, so older artifacts load unchanged.
        loads_revisions=frozenset({2, 3}),
        paper=paper,
        check=_SMALL,
    )


def _wrapping_tokenizers() -> Iterable[Component]:
    """Yield the tokenizers that wrap another tokenizer, the need ``tokenizer``."""
    yield _wrapping_tokenizer(
        "kmeans",
        "KmeansConfig",
        "areca_units.clustered:Clustered",
        "re-clusters another tokenizer's features, so that one encoder serves any number of units",
        needs_tags={"tokenizer": frozenset({"features"})},
        requires=("torch", "safetensors"),
        tags=frozenset({"fit", "resume", "features"}),
        paper="https://arxiv.org/abs/2106.07447",
        check={"clusters": 12, "tokenizer": {"name": "usm-v1", **_SMALL}},
    )
    yield _wrapping_tokenizer(
        "dedup",
        "DedupConfig",
        "areca_units.dedup:Dedup",
        "run-length deduplication of another tokenizer's units, with durations",
        requires=("torch",),
        paper="https://arxiv.org/abs/2104.00355",
        check={"tokenizer": {"name": "mfcc-kmeans", "clusters": 8}},
    )
    yield _wrapping_tokenizer(
        "bpe",
        "BpeConfig",
        "areca_units.bpe:Bpe",
        "acoustic byte-pair encoding: merges frequent sequences of another tokenizer's units",
        requires=("torch", "tokenizers"),
        tags=frozenset({"fit", "resume"}),
        paper="https://arxiv.org/abs/2310.14580",
        check={"size": 24, "tokenizer": {"name": "mfcc-kmeans", "clusters": 8}},
    )


def _wrapping_tokenizer(name: str, config: str, target: str, summary: str, **other: Any) -> Component:
    return Component(
        kind=Kind.TOKENIZER,
        name=name,
        config=f"areca_units.options:{config}",
        spec=f"areca_units:{name}_spec",
        target=target,
        summary=summary,
        license="Apache-2.0",
        needs={"tokenizer": Kind.TOKENIZER},
        **other,
    )
