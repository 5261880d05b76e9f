"""Text tokenizers by hub id or directory, and what transformers raises as one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoTokenizer

from areca.errors import ArecaError, InvalidConfig
from areca_hf.hub import snapshot

T = TypeVar("T")

UNUSABLE = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError, StrictDataclassError)
"""What transformers raises for files that it cannot use."""


def named_tokenizer(hub_id: str | None, revision: str, directory: Path | None) -> Any:
    """Return the text tokenizer of a directory or, where that is None, of a hub repository at a revision.

    Raises:
        InvalidConfig: it is no fast tokenizer.
        ArecaError: it cannot be had or loaded.
    """
    if directory is not None:
        return fast_tokenizer(directory)
    assert hub_id is not None, "the caller gives one of them"
    return fast_tokenizer(snapshot(hub_id, revision, weights=False))


def fast_tokenizer(where: Path, **options: Any) -> Any:
    """Return the tokenizer of a directory, a ``PreTrainedTokenizerFast``; `options` go to ``from_pretrained``.

    Raises:
        InvalidConfig: it is no fast tokenizer.
        ArecaError: transformers cannot load it.
    """
    tokenizer = guarded(str(where), lambda: AutoTokenizer.from_pretrained(where, trust_remote_code=False, **options))
    if not tokenizer.is_fast:
        raise InvalidConfig(f"{where}: expected a fast tokenizer (tokenizer.json), got {type(tokenizer).__name__}")
    return tokenizer


def guarded(source: str, load: Callable[[], T]) -> T:
    """Call `load`; what transformers raises for unusable files becomes one line that names the source.

    Raises:
        ArecaError: `load` failed.
    """
    try:
        return load()
    except ArecaError:
        raise
    except UNUSABLE as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if "trust_remote_code" in str(error):
            reason = "it needs code of its own, which areca never runs; give a model of a class in transformers"
        raise ArecaError(f"{source}: transformers cannot load it: {reason}") from error
