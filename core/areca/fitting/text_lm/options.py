"""Options of backbones that are trained on the run's text, and the checks of these options. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from areca import runtime
from areca.errors import InvalidConfig

_LEAST = {"min_count": 1, "pretrain_steps": 0, "pretrain_batch": 1, "pretrain_length": 2, "save_every": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """Options of text tokenizer training and text pretraining. Configs of such backbones derive from it."""

    min_count: int = 32
    """Minimum number of occurrences for a piece of text to become a token; rarer ones would hardly be trained."""
    tags: tuple[str, ...] = ("ASR", "AST", "S2ST", "TTS", "MT")
    """Task tags that the text tokenizer is trained on, with the names of the data's languages."""
    pretrain_steps: int = 0
    """Steps of next-token pretraining on the run's text and its translations (0: keep the random weights)."""
    pretrain_batch: int = 16
    """Sequences in a batch of text pretraining."""
    pretrain_length: int = 128
    """Tokens in a sequence of text pretraining; lines are concatenated to fill it."""
    pretrain_learning_rate: float = 1.5e-3
    """Peak learning rate of text pretraining (AdamW; linear warm-up over a tenth of the steps, cosine to 0)."""
    save_every: int = runtime(500)
    """Steps of text pretraining between two saved states; an interrupted pretraining resumes from the last one."""


def check_least(where: str, values: Mapping[str, Any], least: Mapping[str, int]) -> None:
    """Refuse values below their minimum.

    Args:
        where: the component, for the message, for example ``"backbone decoder"``.
        values: values by name.
        least: smallest allowed values, by the same names.

    Raises:
        InvalidConfig: a value is below its minimum.
    """
    for name, smallest in least.items():
        if values[name] < smallest:
            raise InvalidConfig(f"{where}: {name}: expected at least {smallest}, got {values[name]}")


def check_text_options(where: str, config: TextOptions, context: int) -> None:
    """Refuse impossible options of text pretraining.

    Args:
        where: the component, as for `check_least`.
        config: the options.
        context: longest sequence that the model takes, in tokens.

    Raises:
        InvalidConfig: a value is below its minimum, or training sequences are longer than `context`.
    """
    check_least(where, {name: getattr(config, name) for name in _LEAST}, _LEAST)
    if config.pretrain_steps and config.pretrain_length > context:
        raise InvalidConfig(
            f"{where}: pretrain_length: expected at most context ({context}), got {config.pretrain_length}"
        )
