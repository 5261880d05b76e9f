"""Make and load the small decoder: random weights or text pretraining, in the layout of the hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from areca.fitting.text_lm.backbone import learn_and_save, load_saved, own_tokenizer
from areca.interfaces import Backbone, Job
from areca_decoder import DecoderConfig, spec

if TYPE_CHECKING:
    from areca.manifest import Manifest


class Decoder:
    """The target of the component ``decoder``."""

    @staticmethod
    def fit(config: DecoderConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Train the text tokenizer, initialise the model from the job's seed, pretrain it if asked to, save both.

        Raises:
            InvalidConfig: sizes that do not fit each other.
            InvalidManifest: the training split has no text.
        """
        spec(config, {})
        tokenizer = own_tokenizer(data, config, config.vocabulary_size)
        learn_and_save(initial(config, len(tokenizer), job.seed), tokenizer, data, config, job)

    @staticmethod
    def load(
        config: DecoderConfig, needs: Mapping[str, Any], files: Path | None, *, device: torch.device, dtype: torch.dtype
    ) -> Backbone:
        """Return the model in eval mode, in `dtype`, on `device`, with its text tokenizer."""
        assert files is not None  # by the tag fit
        return load_saved(files, device, dtype)

    @staticmethod
    def architecture(config: DecoderConfig) -> LlamaConfig:
        """Return the largest that the model can be: how many text tokens there will be is for the data to say."""
        return architecture(config, config.vocabulary_size)


def architecture(config: DecoderConfig, rows: int) -> LlamaConfig:
    """Return the architecture (Touvron et al. 2023, section 2.2) with `rows` embeddings."""
    return LlamaConfig(
        vocab_size=rows,
        hidden_size=config.width,
        intermediate_size=config.feed_forward,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        max_position_embeddings=config.context,
        tie_word_embeddings=config.tied,
        attention_dropout=config.attention_dropout,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def initial(config: DecoderConfig, rows: int, seed: int) -> LlamaForCausalLM:
    """Return a model with `rows` embeddings and weights from `seed`."""
    with torch.random.fork_rng(devices=[]):  # transformers initialises from the global generator
        torch.manual_seed(seed)
        return LlamaForCausalLM(architecture(config, rows))
