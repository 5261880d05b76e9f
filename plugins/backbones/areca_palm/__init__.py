"""PaLM (Chowdhery et al. 2022, section 2) in the sizes that AudioPaLM compares, and in one for a laptop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from areca import Component, Kind, hookimpl
from areca.errors import InvalidConfig
from areca.fitting.text_lm.options import TextOptions, check_least, check_text_options
from areca.specs import BackboneSpec, Spec
from areca_palm.sizes import Dimensions, Size, override_preset

ARECA_PLUGIN_API = 1
_WHERE = "backbone palm"
_LEAST = dict.fromkeys(("layers", "width", "feed_forward", "heads", "kv_heads", "head_width", "context"), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PalmConfig(TextOptions):
    """Options of the backbone ``palm``."""

    size: Size = "nano"
    """Size that supplies the dimensions left out below. 8B is PaLM 8B; the other sizes are defined by this project."""
    layers: int | None = None
    """Decoder layers (default: from `size`)."""
    width: int | None = None
    """Width of the residual stream, the model dimension (default: from `size`)."""
    feed_forward: int | None = None
    """Inner width of the SwiGLU feed-forward layers (default: from `size`). In PaLM, 4 times `width`."""
    heads: int | None = None
    """Attention heads (default: from `size`)."""
    head_width: int | None = None
    """Width of an attention head (default: from `size`). Must be even for rotary positions. In PaLM, 256."""
    kv_heads: int = 1
    """Key and value heads; must divide `heads` (1: multi-query attention, as in PaLM)."""
    vocabulary_size: int | None = None
    """Embedding rows (default: from `size`). Limits the tokens of a tokenizer trained here (256: bytes)."""
    context: int = 2048
    """Longest sequence, in tokens. In PaLM, 2048."""
    dropout: float = 0.1
    """Residual dropout (on the outputs of attention and feed-forward) in training with audio; text pretraining has
    none."""
    text_tokenizer: str | None = None
    """Hub id of a text tokenizer. Without it and `text_tokenizer_path`, nano trains one on the run's text."""
    text_tokenizer_revision: str = "main"
    """Branch, tag or commit of `text_tokenizer`."""
    text_tokenizer_path: Path | None = None
    """Directory of a text tokenizer."""

    @property
    def trains_tokenizer(self) -> bool:
        """Whether the text tokenizer is trained on the run's text."""
        return self.text_tokenizer is None and self.text_tokenizer_path is None


def resolve_dimensions(config: PalmConfig) -> Dimensions:
    """Return the dimensions of `config`'s size, overridden by those that `config` gives."""
    return override_preset(
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
    """Return the family, and the number of parameters unless the data decides the number of text tokens.

    Raises:
        InvalidConfig: an option is out of range, sizes do not divide each other as required, or a size other than nano
            has no text tokenizer.
    """
    sizes = resolve_dimensions(config)
    _check_sizes(sizes)
    check_text_options(_WHERE, config, sizes.context)
    _check_tokenizer(config)
    if not 0 <= config.dropout < 1:
        raise InvalidConfig(f"{_WHERE}: dropout: expected [0, 1), got {config.dropout}")
    return BackboneSpec("cohere", None if config.trains_tokenizer else sizes.parameters)


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
    if config.trains_tokenizer and config.size != "nano":
        raise InvalidConfig(
            f"{_WHERE}: size {config.size} expects a text tokenizer, got none: give `text_tokenizer` (a hub id, such "
            f"as google/gemma-7b) or `text_tokenizer_path` (a directory); only size nano trains its own"
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
