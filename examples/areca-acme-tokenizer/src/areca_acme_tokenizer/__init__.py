"""The tokenizer `acme-mulaw`, light half: companded samples as tokens. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from areca import Component, Kind, hookimpl
from areca.specs import Spec, Stream, TokenizerSpec

ARECA_PLUGIN_API = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MulawConfig:
    """Options of `acme-mulaw`."""

    sample_rate_hz: int = 4_000
    """Samples per second; each sample is a token."""
    levels: int = 256
    """Number of tokens. Must be even, so that half of them are above silence and half below."""

    def __post_init__(self) -> None:
        if self.sample_rate_hz < 1 or self.levels < 2 or self.levels % 2:
            raise ValueError(
                "sample_rate_hz must be positive and levels even, "
                f"got sample_rate_hz={self.sample_rate_hz}, levels={self.levels}"
            )


def spec(config: MulawConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return one stream with a token per sample."""
    stream = Stream("mulaw", config.levels, float(config.sample_rate_hz))
    return TokenizerSpec((stream,), config.sample_rate_hz)


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `acme-mulaw`."""
    yield Component(
        kind=Kind.TOKENIZER,
        name="acme-mulaw",
        config=MulawConfig,
        spec="areca_acme_tokenizer:spec",
        target="areca_acme_tokenizer.mulaw:Mulaw",
        summary="companded samples as tokens, and back to audio",
        license="Apache-2.0",
        requires=("torch",),
        tags=frozenset({"decode"}),
        paper="https://www.itu.int/rec/T-REC-G.711",
    )
