"""Audio codes without a neural codec: residual k-means over log-mel frames, decoded by Griffin-Lim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from areca import Component, Kind, hookimpl
from areca.specs import Spec, Stream, TokenizerSpec

ARECA_PLUGIN_API = 1
SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MelRvqConfig:
    """Options of `mel-rvq`."""

    levels: int = 8
    """Number of codebooks, one per stream. Each quantizes the residual of the previous one."""
    clusters: int = 256
    """Codes in a codebook."""
    frame_rate_hz: Literal[25, 50, 100] = 50
    """Codes per second in each stream. At 25, 50 or 100 a code covers 4, 2 or 1 mel frames of 10 ms."""
    sample_frames: int = 100_000
    """Maximum number of training frames, at the code rate, for the codebooks; drawn by whole utterances."""
    phase_iterations: int = 48
    """Griffin-Lim iterations in decoding; decoding time is proportional to them."""

    def __post_init__(self) -> None:
        for name in ("levels", "clusters", "sample_frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.phase_iterations < 0:
            raise ValueError(f"phase_iterations must not be negative, got {self.phase_iterations}")


def spec(config: MelRvqConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return `config.levels` streams of `config.clusters` codes, coarsest first."""
    rate = float(config.frame_rate_hz)
    streams = tuple(Stream(f"rvq-{k}", config.clusters, rate) for k in range(config.levels))
    return TokenizerSpec(streams, SAMPLE_RATE_HZ)


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `mel-rvq`."""
    yield Component(
        kind=Kind.TOKENIZER,
        name="mel-rvq",
        config=MelRvqConfig,
        spec="areca_melrvq:spec",
        target="areca_melrvq.model:MelRvq",
        summary="residual k-means over log-mel frames, decoded by Griffin-Lim",
        license="Apache-2.0",
        requires=("torch", "safetensors"),
        tags=frozenset({"fit", "resume", "decode", "stream"}),
        revision=3,
        loads_revisions=frozenset({2}),  # revision 3 changed only k-means, so older artifacts load unchanged
        check={"levels": 2, "clusters": 16, "phase_iterations": 4},
    )
