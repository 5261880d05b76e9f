"""The text of a recipe, and a byte-level BPE tokenizer for it."""

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
"""What BPE never merges across: a word with the space and the one sign before it ("-four", "[ASR"), a digit alone."""


def tag_line(row: Utterance, tag: str) -> str:
    """Return a task's tag with the languages of `row`, as ``"[AST French English]"``."""
    languages = [language for language in (row.language, row.target_language) if language]
    return f"[{' '.join([tag, *map(_name, languages)])}]"


def _name(language: str) -> str:
    """Return what a task's header calls a language; one that is unknown stays, as no task names it."""
    try:
        return language_name(language)
    except InvalidConfig:
        return language


def texts(data: Manifest) -> list[str]:
    """Return every text of the training split, in the manifest's order, as often as it occurs.

    Raises:
        InvalidManifest: the training split has no text.
    """
    found = [text for row in _rows(data) for text in (row.text, row.target_text) if text]
    if not found:
        raise InvalidManifest("backbone: no row of split 'train' has text; expected `text` or `target_text`")
    return found


def tag_lines(data: Manifest, tags: Sequence[str]) -> list[str]:
    """Return every tag once for every row of the training split, as a mixture of those tasks would show them."""
    return [tag_line(row, tag) for row in _rows(data) for tag in tags]


def translations(data: Manifest) -> list[tuple[str, str, str]]:
    """Return tag, text and translation of every row of the training split that has both, each pair once."""
    found = [(tag_line(r, "MT"), r.text, r.target_text) for r in _rows(data) if r.text and r.target_text]
    return list(dict.fromkeys(found))


def _rows(data: Manifest) -> tuple[Utterance, ...]:
    return data.select(split="train").rows


def train_tokenizer(lines: Iterable[str], vocabulary_size: int, min_count: int) -> Any:
    """Train a byte-level BPE tokenizer (Sennrich et al. 2016, section 3.2, on bytes).

    Decoding what it encoded gives the text back exactly, whatever the text. It adds no special token. The first
    word of a text is written as any later one is, with a space before it, which decoding takes away.

    Args:
        lines: the text to learn from.
        vocabulary_size: most tokens, the 256 bytes among them.
        min_count: times that a pair must occur to become a token.

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
    fast: Any = PreTrainedTokenizerFast  # not annotated
    return fast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False)


def newline_id(tokenizer: Any) -> int:
    """Return the id that ends a line: the newline of a byte alphabet, or else the last id of an encoded newline."""
    ids = [tokenizer.get_vocab().get("Ċ"), *tokenizer("\n", add_special_tokens=False)["input_ids"][-1:]]
    return next(int(i) for i in ids if i is not None)
