"""The text of a run's corpus, and a byte-level BPE tokenizer trained on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from areca.errors import InvalidConfig, InvalidManifest
from areca.languages import language_name

if TYPE_CHECKING:
    from areca.manifest import Manifest, Utterance

_PIECES = r" ?[^\s\p{L}\p{M}\p{N}]?\p{L}[\p{L}\p{M}\p{N}]*|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s"
"""Pieces that BPE never merges across: a word with the space and one sign before it ("-four", "[ASR"); one digit."""


def tag_line(row: Utterance, tag: str) -> str:
    """Return a task's tag with the languages of `row`, for example ``"[AST French English]"``."""
    languages = [language for language in (row.language, row.target_language) if language]
    return f"[{' '.join([tag, *map(_display_name, languages)])}]"


def _display_name(language: str) -> str:
    """Return a language's name in a task's header; an unknown code is returned unchanged, since no task uses it."""
    try:
        return language_name(language)
    except InvalidConfig:
        return language


def texts(data: Manifest) -> list[str]:
    """Return every text and translation of the training split, in the manifest's order, duplicates included.

    Raises:
        InvalidManifest: the training split has no text.
    """
    collected = [text for row in _rows(data) for text in (row.text, row.target_text) if text]
    if not collected:
        raise InvalidManifest("backbone: no row of split 'train' has text; expected `text` or `target_text`")
    return collected


def tag_lines(data: Manifest, tags: Sequence[str]) -> list[str]:
    """Return each tag once for each row of the training split, as in an equal mixture of those tasks."""
    return [tag_line(row, tag) for row in _rows(data) for tag in tags]


def translations(data: Manifest) -> list[tuple[str, str, str]]:
    """Return tag, text and translation of every row of the training split that has both texts, without duplicates."""
    triples = [(tag_line(r, "MT"), r.text, r.target_text) for r in _rows(data) if r.text and r.target_text]
    return list(dict.fromkeys(triples))


def _rows(data: Manifest) -> Sequence[Utterance]:
    return data.select(split="train").rows


def train_tokenizer(lines: Iterable[str], vocabulary_size: int, min_count: int) -> Any:
    """Train a byte-level BPE tokenizer (Sennrich et al. 2016, section 3.2, on bytes).

    Decoding restores every encoded text exactly. The tokenizer adds no special tokens. It puts a space before the first
    word of a text, so that this word is encoded like any later one; decoding removes the space.

    Args:
        lines: the training text.
        vocabulary_size: number of tokens, at most, including the 256 bytes.
        min_count: a pair must occur this often to become a token.

    Returns:
        A ``PreTrainedTokenizerFast``.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Prepend(" ")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=min_count,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    fast: Any = PreTrainedTokenizerFast  # its constructor has no annotations
    return fast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False)


def newline_id(tokenizer: Any) -> int:
    """Return the id that ends a line: the newline byte, or, without a byte alphabet, the last id of a newline."""
    ids = [tokenizer.get_vocab().get("Ċ"), *tokenizer("\n", add_special_tokens=False)["input_ids"][-1:]]
    return next(int(i) for i in ids if i is not None)
