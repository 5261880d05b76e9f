"""The joint vocabulary as a plain Hugging Face tokenizer, for programs that do not know areca."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tokenizers import AddedToken

from areca.errors import IncompatibleParts
from areca.hub.loading import fast_tokenizer
from areca.lm.text import TextTokenizer
from areca.lm.vocabulary import Control, Vocabulary


def token_names(vocabulary: Vocabulary, first: int) -> list[str]:
    """Return how the exported tokenizer spells the ids from `first` on, `first` being its first free one.

    Text rows without a token come first (some models have more rows than their tokenizer), then the controls as
    ``<|begin_audio|>``, then audio as ``<|speech/0:17|>``.
    """
    names = [f"<|text:{i}|>" for i in range(first, vocabulary.text_size)]
    names += [f"<|{control.name.lower()}|>" for control in Control]
    return names + [f"<|{stream}:{code}|>" for stream, size in vocabulary.streams for code in range(size)]


def write_tokenizer(text: TextTokenizer, vocabulary: Vocabulary, directory: Path) -> None:
    """Write a tokenizer with one token an id of the joint vocabulary; ``AutoTokenizer`` reads it.

    Raises:
        IncompatibleParts: the text tokenizer spells one of its own tokens like one of ours.
    """
    with TemporaryDirectory() as folder:
        text.write(Path(folder))
        tokenizer = fast_tokenizer(Path(folder))
    names = token_names(vocabulary, text.size)
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    if tokenizer.convert_tokens_to_ids(names) != list(range(text.size, vocabulary.size)):
        known = text.backend.get_vocab()
        clash = next((name for name in names if name in known), names[0])
        raise IncompatibleParts(f"the text tokenizer has a token {clash!r} already: was its LM extended before?")
    tokenizer.pad_token = f"<|{Control.PAD.name.lower()}|>"
    tokenizer.eos_token = f"<|{Control.END_SEQUENCE.name.lower()}|>"
    tokenizer.save_pretrained(directory)
