"""A small Llama-type decoder whose text tokenizer is trained on the recipe's own text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from areca import Component, Kind, hookimpl, runtime
from areca.errors import InvalidConfig
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
    "min_count": 1,
    "pretrain_steps": 0,
    "pretrain_batch": 1,
    "pretrain_length": 2,
    "save_every": 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig:
    """Options of the backbone ``decoder``."""

    layers: int = 4
    """Decoder layers."""
    width: int = 192
    """Width of the residual stream."""
    feed_forward: int = 576
    """Inner width of the SwiGLU feed-forward."""
    heads: int = 4
    """Attention heads; they divide `width`."""
    kv_heads: int = 4
    """Key and value heads; they divide `heads` (1: multi-query attention, as in PaLM)."""
    tied: bool = True
    """Whether the output matrix is the embedding."""
    context: int = 2048
    """Longest sequence, in tokens."""
    attention_dropout: float = 0.0
    """Dropout on attention weights in training; Llama has no residual dropout."""
    vocabulary_size: int = 1024
    """Most tokens that the byte-level BPE text tokenizer may have, 256 of them the bytes (256: bytes alone)."""
    min_count: int = 32
    """Times that a token must occur in the text to be made; a rarer one would hardly be learnt."""
    tags: tuple[str, ...] = ("ASR", "AST", "S2ST", "TTS", "MT")
    """Task tags that the text tokenizer should know, beside the names of the data's languages."""
    pretrain_steps: int = 0
    """Steps of next-token training on the recipe's text and its translations (0: random weights)."""
    pretrain_batch: int = 16
    """Sequences in a step of text pretraining."""
    pretrain_length: int = 128
    """Tokens in a sequence of text pretraining; lines are packed into it."""
    pretrain_learning_rate: float = 1.5e-3
    """Peak learning rate of text pretraining (AdamW; linear warm-up over a tenth of the steps, cosine to 0)."""
    save_every: int = runtime(500)
    """Steps after which text pretraining saves what it needs to go on after a kill."""


def spec(config: DecoderConfig, needs: Mapping[str, Spec]) -> BackboneSpec:
    """Return the family; the size depends on how many text tokens the data yields.

    Raises:
        InvalidConfig: sizes that do not fit each other.
    """
    for name, least in _LEAST.items():
        if getattr(config, name) < least:
            raise InvalidConfig(f"backbone decoder: {name}: expected at least {least}, got {getattr(config, name)}")
    if config.width % config.heads or config.width // config.heads % 2:
        raise InvalidConfig(
            f"backbone decoder: width / heads: expected an even whole number (rotary positions), "
            f"got {config.width} / {config.heads}"
        )
    if config.heads % config.kv_heads:
        raise InvalidConfig(
            f"backbone decoder: kv_heads: expected a divisor of heads ({config.heads}), got {config.kv_heads}"
        )
    if not 0 <= config.attention_dropout < 1:
        raise InvalidConfig(f"backbone decoder: attention_dropout: expected [0, 1), got {config.attention_dropout}")
    if config.pretrain_steps and config.pretrain_length > config.context:
        raise InvalidConfig(
            f"backbone decoder: pretrain_length: expected at most context ({config.context}), "
            f"got {config.pretrain_length}"
        )
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
        summary="small Llama-type decoder with a subword text tokenizer trained on the recipe's own text",
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
