"""A codec's decoder as a vocoder, for language models that write the codec's tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from areca import Component, Kind, hookimpl
from areca.specs import Spec, TokenizerSpec, VocoderSpec

ARECA_PLUGIN_API = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecConfig:
    """`codec-decoder` has no options."""


def spec(config: CodecConfig, needs: Mapping[str, Spec]) -> VocoderSpec:
    """Return the codec's streams and sample rate, and the tag ``stream`` if the codec has it."""
    tokenizer = needs["tokenizer"]
    assert isinstance(tokenizer, TokenizerSpec), "core passes a part of the declared kind for each need"
    return VocoderSpec(tokenizer.streams, tokenizer.sample_rate_hz, tags=tokenizer.tags & {"stream"})


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `codec-decoder`."""
    yield Component(
        kind=Kind.VOCODER,
        name="codec-decoder",
        config=CodecConfig,
        spec="areca_codec_decoder:spec",
        target="areca_codec_decoder.model:Codec",
        summary="decodes codec tokens that the language model writes",
        license="Apache-2.0",
        needs={"tokenizer": Kind.TOKENIZER},
        needs_tags={"tokenizer": frozenset({"decode"})},
        requires=("torch",),
        check={"tokenizer": {"name": "mel-rvq", "levels": 2, "clusters": 16, "phase_iterations": 4}},
    )
