"""Text LMs of any family with a few thousand random parameters, for tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.interfaces import Backbone
from areca.registry.parts import choose
from areca.registry.registry import Registry

_LINES = ("one two three four five", "un deux trois quatre cinq", "[ASR French] [AST French English] [MT Spanish]")
_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def tiny_tokenizer(lines: Iterable[str] = _LINES, size: int = 280) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer of `size` tokens, including ``<pad>``, ``<s>`` and ``</s>``."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<pad>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(lines, trainer)
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)  # type: ignore[no-untyped-call]


def tiny_backbone(
    family: str = "llama", *, rows: int = 300, seed: int = 0, dtype: torch.dtype = torch.float32, **options: Any
) -> Backbone:
    """Build a text LM with random weights, and its text tokenizer.

    Args:
        family: a ``model_type`` of transformers.
        rows: rows of the embedding; more than the tokenizer has tokens, as in many public models.
        seed: of the weights.
        dtype: of the weights.
        options: options of the family's config; they override the tiny sizes.

    Example:
        ``backbone = tiny_backbone("qwen2", seed=3)``
    """
    config = AutoConfig.for_model(family, **_SIZES | {"vocab_size": rows} | options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    return Backbone(model.eval(), tiny_tokenizer())


def load_choice(kind: str, value: Any, plugins: Iterable[str] = ()) -> Any:
    """Return the loaded component that an option names, as ``load_choice("optimizer", "adamw")``."""
    return PartLoader(Store()).instance(choose(Registry.discover(plugins), kind, value, option=kind))
