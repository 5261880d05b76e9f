"""Load fast text tokenizers of transformers from a directory or the hub."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from areca.errors import ArecaError, InvalidConfig
from areca.files.reading import read_json, read_regular
from areca.hub.guard import call_guarded
from areca.hub.model_config import check_files
from areca.hub.snapshots import fetch_snapshot

_JSON_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_LONGEST_TOKENIZER = 256 << 20
"""Maximum number of bytes of a tokenizer.json."""


def load_fast_tokenizer(directory: Path, *, error: type[ArecaError] = InvalidConfig, **options: Any) -> Any:
    """Return the text tokenizer of a directory, a ``PreTrainedTokenizerFast``.

    Args:
        directory: holds the tokenizer's files in the hub's layout.
        error: the class to raise.
        options: for ``AutoTokenizer.from_pretrained``.

    Raises:
        ArecaError: as `error`, if the tokenizer is not a fast one, its files are damaged or too large, or transformers
            cannot load it.
    """
    # Read the files with limits before transformers reads them without.
    check_files(directory, str(directory), error)
    for name in _JSON_FILES:
        with contextlib.suppress(FileNotFoundError):
            read_json(directory / name, links=True, infinity=True, error=error)
    with contextlib.suppress(FileNotFoundError):
        read_regular(directory / "tokenizer.json", most=_LONGEST_TOKENIZER, links=True, error=error)

    def load() -> Any:
        return AutoTokenizer.from_pretrained(directory, trust_remote_code=False, local_files_only=True, **options)

    tokenizer = call_guarded(str(directory), load, error)
    if not tokenizer.is_fast:
        raise error(f"{directory}: expected a fast tokenizer (tokenizer.json), got {type(tokenizer).__name__}")
    return tokenizer


def load_named_tokenizer(hub_id: str | None, revision: str, directory: Path | None) -> Any:
    """Return the fast text tokenizer of `directory`; if that is None, of a hub repository at a revision.

    Raises:
        InvalidConfig: the tokenizer is not a fast one, or cannot be loaded.
        MissingWeights: the repository is not available.
    """
    if directory is not None:
        return load_fast_tokenizer(directory)
    assert hub_id is not None, "the caller gives one of them"
    return load_fast_tokenizer(fetch_snapshot(hub_id, revision, weights=False))
