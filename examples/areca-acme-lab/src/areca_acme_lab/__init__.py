"""Extensions of areca by a lab, light half: a metric, a normaliser, an optimizer, a stream pattern and a new kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from areca import Component, Kind, hookimpl
from areca.specs import KindSpec, MetricSpec, NormaliserSpec, OptimizerSpec, PatternSpec, Spec

from areca_acme_lab.chunks import Chunks

ARECA_PLUGIN_API = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOptions:
    """A component without options."""


def length_ratio_spec(config: NoOptions, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return the metric's input, recordings at 16 kHz, and its column header."""
    return MetricSpec("audio", "length ratio", sample_rate_hz=16_000)


def no_fillers_spec(config: NoOptions, needs: Mapping[str, Spec]) -> NormaliserSpec:
    """Accept text in any language."""
    return NormaliserSpec()


@dataclass(frozen=True, slots=True, kw_only=True)
class MuonConfig:
    """Options of `muon`."""

    momentum: float = 0.95
    """Momentum of the updates of matrices."""

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(f"expected momentum in [0, 1), got {self.momentum}")


def muon_spec(config: MuonConfig, needs: Mapping[str, Spec]) -> OptimizerSpec:
    """Return the size of the state: one value per element of a matrix, two per element of a vector."""
    return OptimizerSpec(lambda shape: prod(shape) * (1 if len(shape) == 2 else 2))


def chunks_spec(config: Chunks, needs: Mapping[str, Spec]) -> PatternSpec:
    """Return the order."""
    return PatternSpec(config)


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """The spec of a probe: the unit of its measurement."""

    unit: str

    def __str__(self) -> str:
        return f"measured in {self.unit}"


def entropy_spec(config: NoOptions, needs: Mapping[str, Spec]) -> ProbeSpec:
    """Return the unit of the entropy."""
    return ProbeSpec("bits per code")


@hookimpl
def areca_kinds() -> Iterable[KindSpec]:
    """Add the kind `probe`: a component that measures a tokenizer's codes."""
    yield KindSpec(name="probe", spec=ProbeSpec, checks="areca_acme_lab.checks")


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare the lab's components."""
    yield _component(
        Kind.METRIC,
        "length-ratio",
        NoOptions,
        spec="length_ratio_spec",
        target="metric:LengthRatio",
        summary="seconds of the answers over seconds of the references",
    )
    yield _component(
        Kind.NORMALISER,
        "no-fillers",
        NoOptions,
        spec="no_fillers_spec",
        target="normaliser:NoFillers",
        summary="lowercase words without punctuation and without fillers such as um and euh",
    )
    yield _component(
        Kind.OPTIMIZER,
        "muon",
        MuonConfig,
        spec="muon_spec",
        target="optimizer:MuonBuilder",
        summary="Muon for matrices, AdamW for vectors",
        requires=("torch",),
        paper="https://kellerjordan.github.io/posts/muon/",
    )
    yield _component(
        Kind.PATTERN,
        "chunks",
        Chunks,
        spec="chunks_spec",
        target="chunks:Chunks",
        summary="some frames of the first stream, the same frames of the second, and so on",
    )
    yield _component(
        "probe",
        "unit-entropy",
        NoOptions,
        spec="entropy_spec",
        target="probes:UnitEntropy",
        summary="entropy of the codes of the first stream",
        requires=("torch",),
    )


def _component(kind: str, name: str, config: type[Any], *, spec: str, target: str, **fields: Any) -> Component:
    return Component(
        kind=kind,
        name=name,
        config=config,
        spec=f"areca_acme_lab:{spec}",
        target=f"areca_acme_lab.{target}",
        license="Apache-2.0",
        **fields,
    )
