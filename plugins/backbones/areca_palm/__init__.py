"""PaLM (Chowdhery et al. 2022, section 2) at the sizes that AudioPaLM compares, and one for a laptop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from areca import Component, Kind, hookimpl
from areca.errors import InvalidConfig
from areca.fitting.text_lm.options import TextOptions, check_least, check_text_options
from areca.specs import BackboneSpec, Spec
from areca_palm.sizes import Dimensions, Size, dimensions

ARECA_PLUGIN_API = 1
_WHERE = "backbone palm"
_LEAST = dict.fromkeys(("layers", "width", "feed_forward", "heads", "kv_heads", "head_width", "context"), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PalmConfig(TextOptions):
    """Options of the backbone ``palm``."""

    size: Size = "nano"
    """Where the dimensions below come from that are left out; 8B is PaLM 8B, the other sizes are this project's."""
    layers: int | None = None
    """Decoder layers."""
    width: int | None = None
    """Width of the residual stream."""
    feed_forward: int | None = None
    """Inner width of the SwiGLU feed-forward; PaLM's is 4 times `width`."""
    heads: int | None = None
    """Attention heads."""
    head_width: int | None = None
    """Width of an attention head; even, for the rotary positions. PaLM's is 256."""
    kv_heads: int = 1
    """Key and value heads; they divide `heads` (1: multi-query attention, PaLM's)."""
    vocabulary_size: int | None = None
    """Rows of the embedding; with a text tokenizer of its own, the most tokens that this may have (256: bytes)."""
    context: int = 2048
    """Longest sequence, in tokens; PaLM's is 2048."""
    dropout: float = 0.1
    """Dropout on what attention and feed-forward add to the residual stream, in training with audio; not in text
    pretraining."""
    text_tokenizer: str | None = None
    """Hub id of a text tokenizer; without it and `text_tokenizer_path` one is trained on the recipe's text (nano)."""
    text_tokenizer_revision: str = "main"
    """Branch, tag or commit of `text_tokenizer`."""
    text_tokenizer_path: Path | None = None
    """Directory of a text tokenizer."""

    @property
    def own_tokenizer(self) -> bool:
        """Whether the text tokenizer is trained on the recipe's text."""
        return self.text_tokenizer is None and self.text_tokenizer_path is None


def resolved(config: PalmConfig) -> Dimensions:
    """Return the dimensions of `config`'s size, with those given in their place."""
    return dimensions(
        config.size,
        layers=config.layers,
        width=config.width,
        feed_forward=config.feed_forward,
        heads=config.heads,
        head_width=config.head_width,
        kv_heads=config.kv_heads,
        vocabulary_size=config.vocabulary_size,
        context=config.context,
    )


def spec(config: PalmConfig, needs: Mapping[str, Spec]) -> BackboneSpec:
    """Return the family, and the size unless that depends on how many text tokens the data yields.

    Raises:
        InvalidConfig: sizes that do not fit each other, or a large one without a text tokenizer.
    """
    sizes = resolved(config)
    _check_sizes(sizes)
    check_text_options(_WHERE, config, sizes.context)
    _check_tokenizer(config)
    if not 0 <= config.dropout < 1:
        raise InvalidConfig(f"{_WHERE}: dropout: expected [0, 1), got {config.dropout}")
    return BackboneSpec("cohere", None if config.own_tokenizer else sizes.parameters)


def _check_sizes(sizes: Dimensions) -> None:
    check_least(_WHERE, {name: getattr(sizes, name) for name in _LEAST}, _LEAST)
    check_least(_WHERE, {"vocabulary_size": sizes.vocabulary_size}, {"vocabulary_size": 256})
    if sizes.head_width % 2:
        raise InvalidConfig(f"{_WHERE}: head_width: expected an even number (rotary positions), got {sizes.head_width}")
    if sizes.heads % sizes.kv_heads:
        raise InvalidConfig(f"{_WHERE}: kv_heads: expected a divisor of heads ({sizes.heads}), got {sizes.kv_heads}")


def _check_tokenizer(config: PalmConfig) -> None:
    if config.text_tokenizer is not None and config.text_tokenizer_path is not None:
        raise InvalidConfig(f"{_WHERE}: expected at most one of `text_tokenizer` and `text_tokenizer_path`")
    if config.own_tokenizer and config.size != "nano":
        raise InvalidConfig(
            f"{_WHERE}: size {config.size} expects a text tokenizer, got none: give `text_tokenizer` (a hub id, as "
            f"google/gemma-7b) or `text_tokenizer_path` (a directory); size nano trains its own"
        )


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare the backbone ``palm``."""
    yield Component(
        kind=Kind.BACKBONE,
        name="palm",
        config=PalmConfig,
        spec="areca_palm:spec",
        target="areca_palm.model:Palm",
        summary="PaLM: parallel block, SwiGLU, multi-query attention, tied embeddings; nano, 128M, 1B, 8B",
        license="Apache-2.0",
        requires=("torch", "transformers", "tokenizers"),
        tags=frozenset({"fit", "resume"}),
        check={
            "layers": 2,
            "width": 32,
            "feed_forward": 64,
            "heads": 2,
            "head_width": 16,
            "min_count": 2,
            "pretrain_steps": 8,
            "save_every": 2,
        },
        paper="https://arxiv.org/abs/2204.02311",
    )
