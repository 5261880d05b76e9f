"""Options that backbones share which learn from the recipe's own text, and their limits. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from areca import runtime
from areca.errors import InvalidConfig

_LEAST = {"min_count": 1, "pretrain_steps": 0, "pretrain_batch": 1, "pretrain_length": 2, "save_every": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """How a backbone makes its text tokenizer and learns text; the options of such a backbone derive from it."""

    min_count: int = 32
    """Times that a token must occur in the text to be made; a rarer one would hardly be learnt."""
    tags: tuple[str, ...] = ("ASR", "AST", "S2ST", "TTS", "MT")
    """Task tags that the text tokenizer should know, beside the names of the data's languages."""
    pretrain_steps: int = 0
    """Steps of next-token training on the recipe's text and its translations (0: random weights)."""
    pretrain_batch: int = 16
    """Sequences in a step of text pretraining."""
    pretrain_length: int = 128
    """Tokens in a sequence of text pretraining; lines are packed into it."""
    pretrain_learning_rate: float = 1.5e-3
    """Peak learning rate of text pretraining (AdamW; linear warm-up over a tenth of the steps, cosine to 0)."""
    save_every: int = runtime(500)
    """Steps after which text pretraining saves what it needs to go on after a kill."""


def check_least(where: str, values: Mapping[str, Any], least: Mapping[str, int]) -> None:
    """Refuse values below their least.

    Args:
        where: what is being configured, as ``"backbone decoder"``.
        values: the values that matter, by name.
        least: the smallest that is allowed, by the same names.

    Raises:
        InvalidConfig: one is smaller.
    """
    for name, smallest in least.items():
        if values[name] < smallest:
            raise InvalidConfig(f"{where}: {name}: expected at least {smallest}, got {values[name]}")


def check_text_options(where: str, config: TextOptions, context: int) -> None:
    """Refuse options of text learning that cannot be.

    Args:
        where: as of `check_least`.
        config: the options.
        context: longest sequence that the model takes, in tokens.

    Raises:
        InvalidConfig: a value below its least, or training sequences longer than `context`.
    """
    check_least(where, {name: getattr(config, name) for name in _LEAST}, _LEAST)
    if config.pretrain_steps and config.pretrain_length > context:
        raise InvalidConfig(
            f"{where}: pretrain_length: expected at most context ({context}), got {config.pretrain_length}"
        )
