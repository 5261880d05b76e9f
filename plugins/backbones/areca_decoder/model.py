"""Make and load the small decoder: random weights or text pretraining, in the layout of the hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from areca.interfaces import Backbone, Job
from areca_decoder import DecoderConfig, spec
from areca_decoder.pretraining import pretrain
from areca_decoder.text import tag_lines, texts, train_tokenizer, translations

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
        found = texts(data)
        tokenizer = train_tokenizer(found + tag_lines(data, config.tags), config.vocabulary_size, config.min_count)
        model: Any = initial(config, len(tokenizer), job.seed)
        model.to(job.device)
        if config.pretrain_steps:
            pretrain(model, tokenizer, list(dict.fromkeys(found)), translations(data), config, job)
        model.save_pretrained(job.directory)
        tokenizer.save_pretrained(job.directory)

    @staticmethod
    def load(
        config: DecoderConfig, needs: Mapping[str, Any], files: Path | None, *, device: torch.device, dtype: torch.dtype
    ) -> Backbone:
        """Return the model in eval mode, in `dtype`, on `device`, with its text tokenizer."""
        assert files is not None  # by the tag fit
        model: Any = AutoModelForCausalLM.from_pretrained(files, dtype=dtype, use_safetensors=True)
        return Backbone(model=model.to(device).eval(), tokenizer=PreTrainedTokenizerFast.from_pretrained(files))


def initial(config: DecoderConfig, rows: int, seed: int) -> LlamaForCausalLM:
    """Return a Llama-type model (Touvron et al. 2023, section 2.2) with `rows` embeddings and weights from `seed`."""
    architecture = LlamaConfig(
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
    with torch.random.fork_rng(devices=[]):  # transformers initialises from the global generator
        torch.manual_seed(seed)
        return LlamaForCausalLM(architecture)
