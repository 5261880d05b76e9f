"""Train and load the small decoder: random or text-pretrained weights, saved in the hub's layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from areca.fitting.text_lm.backbone import load_backbone, pretrain_and_save, train_text_tokenizer
from areca.fitting.text_lm.llama import initialise_llama, llama_architecture
from areca.interfaces import Backbone, Job
from areca_decoder import DecoderConfig, spec

if TYPE_CHECKING:
    from areca.manifest import Manifest


class Decoder:
    """The target of the component ``decoder``."""

    @staticmethod
    def fit(config: DecoderConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Train the text tokenizer, initialise the model from the job's seed, pretrain it if configured, and save both.

        Raises:
            InvalidConfig: as for `areca_decoder.spec`.
            InvalidManifest: the training split has no text.
        """
        spec(config, {})
        tokenizer = train_text_tokenizer(data, config, config.vocabulary_size)
        pretrain_and_save(initialise_model(config, len(tokenizer), job.seed), tokenizer, data, config, job)

    @staticmethod
    def load(
        config: DecoderConfig, needs: Mapping[str, Any], files: Path | None, *, device: torch.device, dtype: torch.dtype
    ) -> Backbone:
        """Return the model in evaluation mode, in `dtype`, on `device`, with its text tokenizer."""
        assert files is not None, "a component with the tag fit is loaded from its artifact"
        return load_backbone(files, device, dtype)

    @staticmethod
    def architecture(config: DecoderConfig) -> LlamaConfig:
        """Return the largest possible architecture; the data may yield fewer text tokens than `vocabulary_size`."""
        return build_architecture(config, config.vocabulary_size)


def build_architecture(config: DecoderConfig, rows: int) -> LlamaConfig:
    """Return the architecture (Touvron et al. 2023, section 2.2) with `rows` embedding rows."""
    return llama_architecture(
        rows=rows,
        layers=config.layers,
        width=config.width,
        feed_forward=config.feed_forward,
        heads=config.heads,
        kv_heads=config.kv_heads,
        context=config.context,
        tied=config.tied,
        attention_dropout=config.attention_dropout,
    )


def initialise_model(config: DecoderConfig, rows: int, seed: int) -> LlamaForCausalLM:
    """Return a model with `rows` embedding rows and weights drawn from `seed`."""
    return initialise_llama(build_architecture(config, rows), seed)
