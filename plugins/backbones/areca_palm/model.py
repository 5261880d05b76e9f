"""Train and load PaLM with the class of transformers that has the same block: Cohere's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import CohereConfig, CohereForCausalLM

from areca.errors import InvalidConfig
from areca.fitting.text_lm.backbone import load_backbone, pretrain_and_save, train_text_tokenizer
from areca.interfaces import Backbone, Job
from areca_palm import PalmConfig, resolve_dimensions, spec
from areca_palm.dropout import add_residual_dropout
from areca_palm.sizes import Dimensions

if TYPE_CHECKING:
    from areca.manifest import Manifest

ROTARY_BASE = 10_000.0
"""Base of the rotary frequencies (Su et al. 2021, section 3.2.2, cited by PaLM); Cohere's default differs."""
NORM_EPSILON = 1e-6
"""Added to the variance in layer norms. PaLM does not document it; this is the value of T5X."""


class Palm:
    """The target of the component ``palm``."""

    @staticmethod
    def fit(config: PalmConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Load or train the text tokenizer, initialise the model, pretrain it if configured, and save both.

        Raises:
            InvalidConfig: as for `areca_palm.spec`, or the text tokenizer has more tokens than the embedding has rows.
            InvalidManifest: text is needed, and the training split has none.
            ArecaError: the text tokenizer is not available.
        """
        spec(config, {})
        tokenizer = _text_tokenizer(config, data)
        sizes = resolve_dimensions(config)
        rows = len(tokenizer) if config.trains_tokenizer else sizes.vocabulary_size
        pretrain_and_save(initialise_model(build_architecture(sizes, rows), job.seed), tokenizer, data, config, job)

    @staticmethod
    def load(
        config: PalmConfig, needs: Mapping[str, Any], files: Path | None, *, device: torch.device, dtype: torch.dtype
    ) -> Backbone:
        """Return the model in evaluation mode, in `dtype`, on `device`, with text tokenizer and residual dropout."""
        assert files is not None, "a component with the tag fit is loaded from its artifact"
        backbone = load_backbone(files, device, dtype)
        add_residual_dropout(backbone.model, config.dropout)
        return backbone

    @staticmethod
    def architecture(config: PalmConfig) -> CohereConfig:
        """Return the architecture; if the text tokenizer is trained here, the largest possible one."""
        sizes = resolve_dimensions(config)
        return build_architecture(sizes, sizes.vocabulary_size)


def build_architecture(sizes: Dimensions, rows: int) -> CohereConfig:
    """Return the architecture (Chowdhery et al. 2022, section 2) with `rows` embedding rows.

    Cohere's block equals PaLM's: ``x + attention(norm(x)) + feed_forward(norm(x))`` with one layer norm, SwiGLU, no
    bias in any matrix or norm, rotary positions, and one matrix for input and output.
    """
    constructor: Any = CohereConfig  # `head_dim` is not one of its fields, but its attention uses it
    config: CohereConfig = constructor(
        vocab_size=rows,
        hidden_size=sizes.width,
        intermediate_size=sizes.feed_forward,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_width,
        max_position_embeddings=sizes.context,
        logit_scale=sizes.width**-0.5,
        layer_norm_eps=NORM_EPSILON,
        rope_parameters={"rope_type": "default", "rope_theta": ROTARY_BASE},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    return config


def initialise_model(config: CohereConfig, seed: int) -> CohereForCausalLM:
    """Return a model with weights drawn from `seed`, initialised like PaLM (Chowdhery et al. 2022, section 5).

    Embeddings are drawn from N(0, 1), every other matrix from N(0, 1 / number of inputs). The architecture scales
    logits by 1 / sqrt(width), because the output matrix is the embedding.
    """
    with torch.random.fork_rng(devices=[]):  # transformers draws weights, replaced below, from the global generator
        model = CohereForCausalLM(config)
    generator = torch.Generator().manual_seed(seed)
    embedding = model.get_input_embeddings().weight
    with torch.no_grad():
        for weight in model.parameters():
            if weight is embedding:
                weight.normal_(generator=generator)
            elif weight.ndim == 2:  # [outputs, inputs]; the norms' gains stay 1
                weight.normal_(std=weight.shape[1] ** -0.5, generator=generator)
    return model


def _text_tokenizer(config: PalmConfig, data: Manifest) -> Any:
    rows = resolve_dimensions(config).vocabulary_size
    if config.trains_tokenizer:
        return train_text_tokenizer(data, config, rows)
    from areca.hub.tokenizers import load_named_tokenizer

    tokenizer = load_named_tokenizer(config.text_tokenizer, config.text_tokenizer_revision, config.text_tokenizer_path)
    size = 1 + max(tokenizer.get_vocab().values())
    if size > rows:
        raise InvalidConfig(
            f"backbone palm: the text tokenizer has {size} tokens, size {config.size} has {rows} rows for them: "
            f"set `vocabulary_size: {size}`"
        )
    return tokenizer
