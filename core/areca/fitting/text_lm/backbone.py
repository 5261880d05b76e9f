"""What backbones share that are made from the recipe's text: their tokenizer, their training, their files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM

from areca.errors import InvalidArtifact
from areca.fitting.text_lm.corpus import tag_lines, texts, train_tokenizer, translations
from areca.fitting.text_lm.options import TextOptions
from areca.fitting.text_lm.pretraining import pretrain
from areca.hub.loading import fast_tokenizer, load_pretrained
from areca.interfaces import Backbone, Job

if TYPE_CHECKING:
    from areca.manifest import Manifest


def own_tokenizer(data: Manifest, config: TextOptions, vocabulary_size: int) -> Any:
    """Train a text tokenizer of at most `vocabulary_size` tokens on the training split's text and the tags.

    Raises:
        InvalidManifest: the training split has no text.
    """
    return train_tokenizer(texts(data) + tag_lines(data, config.tags), vocabulary_size, config.min_count)


def learn_and_save(model: Any, tokenizer: Any, data: Manifest, config: TextOptions, job: Job) -> None:
    """Pretrain `model` on the training split's text if `config` asks for it, then write both to the job's directory.

    Args:
        model: a transformers causal LM with its first weights; changed in place.
        tokenizer: its fast text tokenizer.
        data: where the text is.
        config: how long and how fast.
        job: seed, device, progress, directory.

    Raises:
        InvalidManifest: there is no text to pretrain on.
    """
    model.to(job.device)
    if config.pretrain_steps:
        pretrain(model, tokenizer, list(dict.fromkeys(texts(data))), translations(data), config, job)
    model.save_pretrained(job.directory)
    tokenizer.save_pretrained(job.directory)


def load_saved(files: Path, device: torch.device, dtype: torch.dtype) -> Backbone:
    """Return what `learn_and_save` wrote: the model in eval mode, in `dtype`, on `device`, and its text tokenizer.

    Raises:
        InvalidArtifact: the files are damaged, or not those of one model.
    """
    model = load_pretrained(AutoModelForCausalLM, files, dtype=dtype, own=True, error=InvalidArtifact)
    return Backbone(model=model.to(device).eval(), tokenizer=fast_tokenizer(files, error=InvalidArtifact))
