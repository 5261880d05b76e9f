"""Export the joint vocabulary as a plain Hugging Face tokenizer, for programs without areca."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tokenizers import AddedToken

from areca.errors import IncompatibleParts
from areca.hub.tokenizers import load_fast_tokenizer
from areca.lm.text import TextTokenizer
from areca.lm.vocabulary import Control, Vocabulary


def token_names(vocabulary: Vocabulary, first: int) -> list[str]:
    """Return the token names of the ids from `first` on in the exported tokenizer.

    In order: text rows without a token (some models have more rows than their tokenizer has tokens), controls like
    ``<|begin_audio|>``, and audio like ``<|speech/0:17|>``.

    Args:
        vocabulary: the joint vocabulary.
        first: number of tokens of the text tokenizer.
    """
    names = [f"<|text:{i}|>" for i in range(first, vocabulary.text_size)]
    names += [f"<|{control.name.lower()}|>" for control in Control]
    return names + [f"<|{stream}:{code}|>" for stream, size in vocabulary.streams for code in range(size)]


def write_tokenizer(text: TextTokenizer, vocabulary: Vocabulary, directory: Path) -> None:
    """Write a tokenizer with one token per id of the joint vocabulary, for ``AutoTokenizer``.

    Args:
        text: the text tokenizer of the LM.
        vocabulary: the joint vocabulary.
        directory: existing folder for the files.

    Raises:
        IncompatibleParts: the text tokenizer already has a token with the name of a control or a code.
    """
    with TemporaryDirectory() as folder:
        text.write(Path(folder))
        tokenizer = load_fast_tokenizer(Path(folder))
    names = token_names(vocabulary, text.size)
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    if tokenizer.convert_tokens_to_ids(names) != list(range(text.size, vocabulary.size)):
        known = text.backend.get_vocab()
        clash = next((name for name in names if name in known), names[0])
        raise IncompatibleParts(
            f"the text tokenizer already has a token {clash!r}: choose a backbone that was not extended before"
        )
    tokenizer.pad_token = f"<|{Control.PAD.name.lower()}|>"
    tokenizer.eos_token = f"<|{Control.END_SEQUENCE.name.lower()}|>"
    tokenizer.save_pretrained(directory)
