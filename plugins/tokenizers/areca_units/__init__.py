"""Speech units at 25 Hz: k-means over MFCCs or over a speech encoder's layer, their deduplication and merging."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from areca import Component, Kind, hookimpl
from areca.errors import IncompatibleParts
from areca.specs import Spec, Stream, TokenizerSpec
from areca_units.options import (
    BpeConfig,
    DedupConfig,
    EncoderConfig,
    KmeansConfig,
    MfccKmeansConfig,
    UsmV1Config,
    UsmV2Config,
    W2vBertNanoConfig,
)

ARECA_PLUGIN_API = 1
SAMPLE_RATE_HZ = 16_000
UNIT_RATE_HZ = 25.0
_SMALL = {"width": 16, "layers": 2, "layer": 1, "clusters": 8, "steps": 4, "batch_s": 8.0, "checkpoint_steps": 2}
"""Options under which the conformance kit trains an encoder in seconds."""
MOST_UNITS = 1 << 17
"""Units that `bpe` can merge: each is a character of Unicode's two private planes."""


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


def kmeans_spec(config: KmeansConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return the inner tokenizer's stream with another number of units.

    Raises:
        IncompatibleParts: the inner tokenizer has several streams, or its rate varies.
    """
    inner = _one_stream("kmeans", needs, constant=True)
    [stream] = inner.streams
    clustered = Stream(stream.name, config.clusters, stream.frame_rate_hz)
    return TokenizerSpec((clustered,), inner.sample_rate_hz, inner.channels)


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
    """Declare `mfcc-kmeans`, `w2v-bert-nano`, `usm-v1`, `usm-v2`, `kmeans`, `dedup` and `bpe`."""
    yield Component(
        kind=Kind.TOKENIZER,
        name="mfcc-kmeans",
        config=MfccKmeansConfig,
        spec="areca_units:units_spec",
        target="areca_units.mfcc:MfccKmeans",
        summary="k-means units of MFCCs at 25 Hz: the floor that a study starts from",
        license="Apache-2.0",
        requires=("torch", "torchaudio", "safetensors"),
        tags=frozenset({"fit", "resume"}),
        revision=3,
        loads_revisions=frozenset({2}),  # but for k-means
        paper="https://arxiv.org/abs/2106.07447",
    )
    yield _trained(
        "w2v-bert-nano",
        W2vBertNanoConfig,
        "areca_units.masked_units:W2vBertNano",
        "k-means units of a small w2v-BERT encoder trained here, 25 Hz",
        paper="https://arxiv.org/abs/2108.06209",
    )
    yield _trained(
        "usm-v1",
        UsmV1Config,
        "areca_units.masked_units:UsmV1",
        "k-means units of a speech encoder trained by BEST-RQ, 25 Hz",
        paper="https://arxiv.org/abs/2202.01855",
    )
    yield _trained(
        "usm-v2",
        UsmV2Config,
        "areca_units.usm_v2:UsmV2",
        "units of a speech encoder trained with an ASR loss, 25 Hz",
        paper="https://arxiv.org/abs/2306.12925",
    )
    yield _around(
        "kmeans",
        KmeansConfig,
        "areca_units.clustered:Clustered",
        "what another tokenizer clusters, clustered again: one encoder for any number of units",
        needs_tags={"tokenizer": frozenset({"features"})},
        requires=("torch", "safetensors"),
        tags=frozenset({"fit", "resume", "features"}),
        paper="https://arxiv.org/abs/2106.07447",
        check={"clusters": 12, "tokenizer": {"name": "usm-v1", **_SMALL}},
    )
    yield _around(
        "dedup",
        DedupConfig,
        "areca_units.dedup:Dedup",
        "run-length deduplication of another tokenizer's units, with durations",
        requires=("torch",),
        paper="https://arxiv.org/abs/2104.00355",
        check={"tokenizer": {"name": "mfcc-kmeans", "clusters": 8}},
    )
    yield _around(
        "bpe",
        BpeConfig,
        "areca_units.bpe:Bpe",
        "acoustic byte-pair encoding: frequent sequences of another tokenizer's units as one, with durations",
        requires=("torch", "tokenizers"),
        tags=frozenset({"fit", "resume"}),
        paper="https://arxiv.org/abs/2310.14580",
        check={"size": 24, "tokenizer": {"name": "mfcc-kmeans", "clusters": 8}},
    )


def _around(name: str, config: type[Any], target: str, summary: str, **other: Any) -> Component:
    return Component(
        kind=Kind.TOKENIZER,
        name=name,
        config=config,
        spec=f"areca_units:{name}_spec",
        target=target,
        summary=summary,
        license="Apache-2.0",
        needs={"tokenizer": Kind.TOKENIZER},
        **other,
    )


def _trained(name: str, config: type[EncoderConfig], target: str, summary: str, *, paper: str) -> Component:
    return Component(
        kind=Kind.TOKENIZER,
        name=name,
        config=config,
        spec="areca_units:units_spec",
        target=target,
        summary=summary,
        license="Apache-2.0",
        requires=("torch", "safetensors"),
        tags=frozenset({"fit", "resume", "features"}),
        revision=4,
        loads_revisions=frozenset(
            {2, 3}
        ),  # the batches of training are others since the second, k-means since the third
        paper=paper,
        check=_SMALL,
    )
