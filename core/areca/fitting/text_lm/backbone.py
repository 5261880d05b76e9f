"""Train, save and load a backbone whose text tokenizer and weights come from the run's text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM

from areca.errors import InvalidArtifact
from areca.fitting.text_lm.corpus import tag_lines, texts, train_tokenizer, translations
from areca.fitting.text_lm.options import TextOptions
from areca.fitting.text_lm.pretraining import pretrain
from areca.hub.loading import load_pretrained
from areca.hub.tokenizers import load_fast_tokenizer
from areca.interfaces import Backbone
from areca.job import Job

if TYPE_CHECKING:
    from areca.manifest import Manifest


def train_text_tokenizer(data: Manifest, config: TextOptions, vocabulary_size: int) -> Any:
    """Train a text tokenizer on the training split's text and the task tags.

    Args:
        data: the corpus.
        config: `tags` and `min_count`.
        vocabulary_size: number of tokens, at most.

    Returns:
        A ``PreTrainedTokenizerFast``.

    Raises:
        InvalidManifest: the training split has no text.
    """
    return train_tokenizer(texts(data) + tag_lines(data, config.tags), vocabulary_size, config.min_count)


def pretrain_and_save(model: Any, tokenizer: Any, data: Manifest, config: TextOptions, job: Job) -> None:
    """Pretrain `model` on the training split's text if ``config.pretrain_steps > 0``, then save model and tokenizer.

    Args:
        model: a transformers causal LM with its initial weights; changed in place.
        tokenizer: its fast text tokenizer.
        data: the corpus.
        config: length and learning rate of the pretraining.
        job: seed, device and progress; the files go to its directory.

    Raises:
        InvalidManifest: pretraining is requested, and the training split has no text.

    Example:
        ``pretrain_and_save(model, train_text_tokenizer(data, config, 1024), data, config, job)``
    """
    model.to(job.device)
    if config.pretrain_steps:
        pretrain(model, tokenizer, list(dict.fromkeys(texts(data))), translations(data), config, job)
    model.save_pretrained(job.directory)
    tokenizer.save_pretrained(job.directory)


def load_backbone(files: Path, device: torch.device, dtype: torch.dtype) -> Backbone:
    """Load the model and text tokenizer that `pretrain_and_save` wrote.

    Args:
        files: the artifact's directory.
        device: where the model computes.
        dtype: of the weights.

    Returns:
        The model in evaluation mode, and its text tokenizer.

    Raises:
        InvalidArtifact: the files are damaged, or do not belong together.
    """
    model = load_pretrained(AutoModelForCausalLM, files, dtype=dtype, from_areca=True, error=InvalidArtifact)
    return Backbone(model=model.to(device).eval(), tokenizer=load_fast_tokenizer(files, error=InvalidArtifact))
