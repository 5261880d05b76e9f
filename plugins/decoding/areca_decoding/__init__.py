"""Decoding methods, which choose the ids of an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from areca import Component, Kind, hookimpl
from areca.specs import DecodingSpec, Spec

ARECA_PLUGIN_API = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GreedyConfig:
    """Options of `greedy`: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleConfig:
    """Options of `sample`.

    Raises:
        ValueError: an option out of range.
    """

    temperature: float = 1.0
    """Divisor of the logits."""
    top_k: int = 0
    """Draw only from this many of the likeliest ids (0: all)."""
    top_p: float = 1.0
    """Draw only from the likeliest ids that together have this probability (arXiv 1904.09751)."""

    def __post_init__(self) -> None:
        if not self.temperature > 0 or not 0 < self.top_p <= 1 or self.top_k < 0:
            raise ValueError(
                f"expected temperature > 0, top_k >= 0 and 0 < top_p <= 1, got {self.temperature}, {self.top_k} and "
                f"{self.top_p}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamConfig:
    """Options of `beam`.

    Raises:
        ValueError: an option out of range.
    """

    beams: int = 4
    """Number of partial answers that are kept."""
    length_penalty: float = 1.0
    """Score = log-probability / length ** length_penalty: 0 favours short answers, 1 compares means."""

    def __post_init__(self) -> None:
        if self.beams < 1:
            raise ValueError(f"beams must be at least 1, got {self.beams}")


def beam_spec(config: BeamConfig, needs: Mapping[str, Spec]) -> DecodingSpec:
    """Return that it is deterministic, and that several beams need a pattern with one code a step."""
    return DecodingSpec(parallel=config.beams == 1)


def spec(config: GreedyConfig, needs: Mapping[str, Spec]) -> DecodingSpec:
    """State that the answer depends only on the prompt."""
    return DecodingSpec()


def sample_spec(config: SampleConfig, needs: Mapping[str, Spec]) -> DecodingSpec:
    """State that the answer also depends on the seed."""
    return DecodingSpec(random=True)


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `greedy`, `sample` and `beam`."""
    yield Component(
        kind=Kind.DECODING,
        name="greedy",
        config=GreedyConfig,
        spec="areca_decoding:spec",
        target="areca_decoding.stepwise:Greedy",
        summary="the likeliest id at each step",
        license="Apache-2.0",
        requires=("torch",),
    )
    yield Component(
        kind=Kind.DECODING,
        name="sample",
        config=SampleConfig,
        spec="areca_decoding:sample_spec",
        target="areca_decoding.stepwise:Sample",
        summary="an id drawn at each step, by temperature, top-k and top-p",
        license="Apache-2.0",
        requires=("torch",),
        paper="https://arxiv.org/abs/1904.09751",
    )
    yield Component(
        kind=Kind.DECODING,
        name="beam",
        config=BeamConfig,
        spec="areca_decoding:beam_spec",
        target="areca_decoding.beam:Beam",
        summary="beam search: the likeliest of several answers that grow side by side",
        license="Apache-2.0",
        requires=("torch",),
        paper="https://arxiv.org/abs/1609.08144",
    )
