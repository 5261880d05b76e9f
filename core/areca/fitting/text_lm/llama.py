"""A Llama-type decoder with random weights, with text or without."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from areca.interfaces import Backbone

_ONLY_TOKEN = "<|text|>"
_ROWS = 2
"""Rows of an embedding without text. An LM checks its backbone with two ids, and draws new rows like these."""


def llama_architecture(
    *,
    rows: int,
    layers: int,
    width: int,
    feed_forward: int,
    heads: int,
    kv_heads: int,
    context: int,
    tied: bool = True,
    attention_dropout: float = 0.0,
) -> LlamaConfig:
    """Return an architecture (Touvron et al. 2023, section 2.2).

    Args:
        rows: rows of the embedding.
        layers: number of layers.
        width: width of the residual stream.
        feed_forward: inner width of the SwiGLU feed-forward layers.
        heads: attention heads, a divisor of `width` that leaves an even number.
        kv_heads: key and value heads, a divisor of `heads`.
        context: longest sequence, in tokens.
        tied: whether the output layer shares the embedding.
        attention_dropout: dropout on attention weights during training.
    """
    return LlamaConfig(
        vocab_size=rows,
        hidden_size=width,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=context,
        tie_word_embeddings=tied,
        attention_dropout=attention_dropout,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def initialise_llama(architecture: LlamaConfig, seed: int) -> LlamaForCausalLM:
    """Return a model with weights drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):  # transformers initialises from the global generator
        torch.manual_seed(seed)
        return LlamaForCausalLM(architecture)


def build_textless_backbone(seed: int, **sizes: Any) -> Backbone:
    """Return a backbone for an LM that reads and writes only audio. Its text tokenizer has one token, which is unused.

    Args:
        seed: seed of the weights.
        **sizes: arguments of `llama_architecture` but `rows`.

    Example::

        backbone = build_textless_backbone(
            job.seed, layers=4, width=192, feed_forward=768, heads=4, kv_heads=4, context=2048
        )
    """
    fast: Any = PreTrainedTokenizerFast  # its constructor has no annotations
    tokenizer = fast(tokenizer_object=Tokenizer(models.WordLevel({_ONLY_TOKEN: 0}, unk_token=_ONLY_TOKEN)))
    return Backbone(initialise_llama(llama_architecture(rows=_ROWS, **sizes), seed), tokenizer)
