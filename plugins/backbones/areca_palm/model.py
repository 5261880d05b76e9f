"""Make and load PaLM by way of the class of transformers that has its block: Cohere's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import CohereConfig, CohereForCausalLM

from areca.errors import InvalidConfig
from areca.fitting.text_lm.backbone import learn_and_save, load_saved, own_tokenizer
from areca.interfaces import Backbone, Job
from areca_palm import PalmConfig, resolved, spec
from areca_palm.dropout import add_residual_dropout
from areca_palm.sizes import Dimensions

if TYPE_CHECKING:
    from areca.manifest import Manifest

ROTARY_BASE = 10_000.0
"""Base of the rotary frequencies (Su et al. 2021, section 3.2.2), which PaLM cites; Cohere's default is another."""
NORM_EPSILON = 1e-6
"""Added to the variance by the layer norms; PaLM does not say, T5X's is this."""


class Palm:
    """The target of the component ``palm``."""

    @staticmethod
    def fit(config: PalmConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Find or train the text tokenizer, initialise the model from the job's seed, pretrain it if asked, save both.

        Raises:
            InvalidConfig: sizes that do not fit each other, or a text tokenizer that does not fit the embedding.
            InvalidManifest: text is needed, and the training split has none.
            ArecaError: the text tokenizer cannot be had.
        """
        spec(config, {})
        tokenizer = _text_tokenizer(config, data)
        rows = len(tokenizer) if config.own_tokenizer else resolved(config).vocabulary_size
        learn_and_save(initial(architecture(resolved(config), rows), job.seed), tokenizer, data, config, job)

    @staticmethod
    def load(
        config: PalmConfig, needs: Mapping[str, Any], files: Path | None, *, device: torch.device, dtype: torch.dtype
    ) -> Backbone:
        """Return the model in eval mode, in `dtype`, on `device`, with its text tokenizer and residual dropout."""
        assert files is not None  # by the tag fit
        backbone = load_saved(files, device, dtype)
        add_residual_dropout(backbone.model, config.dropout)
        return backbone

    @staticmethod
    def architecture(config: PalmConfig) -> CohereConfig:
        """Return the architecture; with a text tokenizer of its own, the largest that it can be."""
        sizes = resolved(config)
        return architecture(sizes, sizes.vocabulary_size)


def architecture(sizes: Dimensions, rows: int) -> CohereConfig:
    """Return the architecture (Chowdhery et al. 2022, section 2) with `rows` embeddings.

    Cohere's block is PaLM's: ``x + attention(norm(x)) + feed_forward(norm(x))`` with one layer norm, SwiGLU, no bias
    in any matrix or norm, rotary positions, and one matrix for input and output.
    """
    config: Any = CohereConfig  # `head_dim` is none of its fields, yet its attention goes by it
    made: CohereConfig = config(
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
    return made


def initial(config: CohereConfig, seed: int) -> CohereForCausalLM:
    """Return a model with weights from `seed`, as PaLM starts (section 5).

    Embeddings are drawn from N(0, 1) and every other matrix from N(0, 1 / its inputs). Logits are scaled by
    1 / sqrt(width) because the output matrix is the embedding.
    """
    with torch.random.fork_rng(devices=[]):  # transformers draws from the global generator what is replaced below
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
    rows = resolved(config).vocabulary_size
    if config.own_tokenizer:
        return own_tokenizer(data, config, rows)
    from areca.hub.loading import named_tokenizer

    tokenizer = named_tokenizer(config.text_tokenizer, config.text_tokenizer_revision, config.text_tokenizer_path)
    size = 1 + max(tokenizer.get_vocab().values())
    if size > rows:
        raise InvalidConfig(
            f"backbone palm: the text tokenizer has {size} tokens, size {config.size} has {rows} rows for them: "
            f"set `vocabulary_size: {size}`"
        )
    return tokenizer
