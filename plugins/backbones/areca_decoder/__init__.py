"""A small Llama-type decoder whose text tokenizer is trained on the run's text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from areca import Component, Kind, hookimpl
from areca.errors import InvalidConfig
from areca.fitting.text_lm.options import TextOptions, check_least, check_text_options
from areca.specs import BackboneSpec, Spec

ARECA_PLUGIN_API = 1

_LEAST = {
    "layers": 1,
    "width": 1,
    "feed_forward": 1,
    "heads": 1,
    "kv_heads": 1,
    "context": 1,
    "vocabulary_size": 256,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig(TextOptions):
    """Options of the backbone ``decoder``."""

    layers: int = 4
    """Decoder layers."""
    width: int = 192
    """Width of the residual stream (the model dimension)."""
    feed_forward: int = 576
    """Inner width of the SwiGLU feed-forward layers."""
    heads: int = 4
    """Attention heads; must divide `width`."""
    kv_heads: int = 4
    """Key and value heads; must divide `heads` (1: multi-query attention, as in PaLM)."""
    tied: bool = True
    """Whether the output layer shares the embedding matrix."""
    context: int = 2048
    """Longest sequence, in tokens."""
    attention_dropout: float = 0.0
    """Dropout on attention weights during training; Llama has no residual dropout."""
    vocabulary_size: int = 1024
    """Maximum number of tokens of the byte-level BPE text tokenizer, including the 256 bytes (256: only bytes)."""


def spec(config: DecoderConfig, needs: Mapping[str, Spec]) -> BackboneSpec:
    """Return the family. The number of parameters is unknown, because the data decides the number of text tokens.

    Raises:
        InvalidConfig: an option is out of range, or sizes do not divide each other as required.
    """
    where = "backbone decoder"
    check_least(where, {name: getattr(config, name) for name in _LEAST}, _LEAST)
    if config.width % config.heads or config.width // config.heads % 2:
        raise InvalidConfig(
            f"{where}: width / heads: expected an even whole number (rotary positions), "
            f"got {config.width} / {config.heads}"
        )
    if config.heads % config.kv_heads:
        raise InvalidConfig(f"{where}: kv_heads: expected a divisor of heads ({config.heads}), got {config.kv_heads}")
    if not 0 <= config.attention_dropout < 1:
        raise InvalidConfig(f"{where}: attention_dropout: expected [0, 1), got {config.attention_dropout}")
    check_text_options(where, config, config.context)
    return BackboneSpec("llama")


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare the backbone ``decoder``."""
    yield Component(
        kind=Kind.BACKBONE,
        name="decoder",
        config=DecoderConfig,
        spec="areca_decoder:spec",
        target="areca_decoder.model:Decoder",
        summary="small Llama-type decoder with a subword text tokenizer trained on the run's text",
        license="Apache-2.0",
        requires=("torch", "transformers", "tokenizers"),
        tags=frozenset({"fit", "resume"}),
        check={
            "layers": 2,
            "width": 32,
            "heads": 2,
            "kv_heads": 1,
            "min_count": 2,
            "pretrain_steps": 8,
            "save_every": 2,
        },
        paper="https://arxiv.org/abs/2302.13971",
    )
