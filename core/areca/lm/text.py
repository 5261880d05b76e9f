"""The text LM's own tokenizer: what the user wrote as text ids, never as a control, and ids back as text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import Tokenizer

from areca.errors import IncompatibleParts, InvalidArtifact, quote
from areca.files.reading import read_regular
from areca.hub.loading import guarded

_TOKENIZER = "tokenizer.json"
_LONGEST = 256 << 20
"""Bytes of one of its files, at most; the largest of the field have some 40 MB."""
_MOST_FILES = 100
_MOST_WORDS = 500_000
"""Words that are remembered as spelt, at most."""


class TextTokenizer:
    """A fast tokenizer of transformers as the bytes of its files, so that a checkpoint can give it back exactly.

    Args:
        files: the content of each of its files, by name, as ``save_pretrained`` writes them.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(sorted(files.items()))
        self._spelt: set[str] = set()

    @classmethod
    def of(cls, tokenizer: Any) -> TextTokenizer:
        """Take a backbone's tokenizer, a ``PreTrainedTokenizerFast``.

        Raises:
            IncompatibleParts: it is not a fast one.
        """
        if not getattr(tokenizer, "is_fast", False):
            raise IncompatibleParts(f"expected a fast text tokenizer (tokenizer.json), got {type(tokenizer).__name__}")
        with TemporaryDirectory() as folder:
            tokenizer.save_pretrained(folder)
            return cls.read(Path(folder))

    @classmethod
    def read(cls, directory: Path) -> TextTokenizer:
        """Read one back from its files.

        Raises:
            InvalidArtifact: `directory` has no ``tokenizer.json`` or a damaged one, or files that are no tokenizer's.
        """
        paths = sorted(p for p in directory.rglob("*") if p.is_symlink() or not p.is_dir())
        if len(paths) > _MOST_FILES:
            raise InvalidArtifact(f"{directory}: expected the files of a text tokenizer, found {len(paths)}")
        files = {p.relative_to(directory).as_posix(): read_regular(p, most=_LONGEST) for p in paths}
        if _TOKENIZER not in files:
            raise InvalidArtifact(f"{directory}: expected a text tokenizer, found no {_TOKENIZER}")
        read = cls(files)
        guarded(str(directory / _TOKENIZER), lambda: read.size, InvalidArtifact)
        return read

    def write(self, directory: Path) -> None:
        """Write the files again, byte for byte."""
        for name, content in self.files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(content)

    @cached_property
    def hash(self) -> str:
        """sha256 over the names and contents of its files."""
        digest = hashlib.sha256()
        for name, content in self.files.items():
            digest.update(f"{name}:{hashlib.sha256(content).hexdigest()}\n".encode())
        return digest.hexdigest()

    @cached_property
    def size(self) -> int:
        """One more than its highest id, added tokens included."""
        return 1 + max(self.backend.get_vocab().values(), default=-1)

    @cached_property
    def backend(self) -> Tokenizer:
        """The tokenizer itself, set to encode everything as plain text."""
        backend = Tokenizer.from_str(self.files[_TOKENIZER].decode())
        backend.encode_special_tokens = True  # "<s>" that the user wrote is four characters, no special token
        backend.no_truncation()
        backend.no_padding()
        return backend

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`, without special tokens whatever it says.

        Raises:
            IncompatibleParts: the tokenizer has no token for a part of it, and none for the unknown.
        """
        try:
            return list(self.backend.encode(text, add_special_tokens=False).ids)
        except Exception as e:  # tokenizers has no errors of its own
            raise IncompatibleParts(f"the text tokenizer of the backbone cannot encode {quote(text)}: {e}") from e

    def misspelt(self, texts: Iterable[str]) -> dict[str, str]:
        """Return what encoding and decoding makes of those of `texts` that it changes.

        White space, and what the tokenizer's own normaliser changes (case, accents, width), do not count.
        """
        distinct = list(dict.fromkeys(texts))
        # Most words come often: each is tried once, and a text only where one of its words was changed.
        words = {word for text in distinct for word in text.split()} - self._spelt
        wrong = set(self._changed(sorted(words)))
        if len(self._spelt) > _MOST_WORDS:
            self._spelt.clear()
        self._spelt |= words - wrong
        return self._changed([text for text in distinct if not wrong.isdisjoint(text.split())]) if wrong else {}

    def _changed(self, texts: Sequence[str]) -> dict[str, str]:
        try:
            ids = [encoded.ids for encoded in self.backend.encode_batch_fast(texts, add_special_tokens=False)]
        except Exception:  # one of them has no ids at all: `encode` says which
            ids = [self.encode(text) for text in texts]
        decoded = self.backend.decode_batch(ids, skip_special_tokens=True)
        pairs = zip(texts, decoded, strict=True)
        return {text: other for text, other in pairs if text != other and not self._reads_alike(text, other)}

    def _reads_alike(self, text: str, decoded: str) -> bool:
        if _letters(text) == _letters(decoded):
            return True
        normaliser = self.backend.normalizer
        return normaliser is not None and _letters(normaliser.normalize_str(text)) == _letters(decoded)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; special tokens and ids without a token stand for nothing."""
        return str(self.backend.decode(list(ids), skip_special_tokens=True))


def _letters(text: str) -> str:
    """Return `text` without white space, which SentencePiece writes as "▁"."""
    return "".join(text.split()).replace("▁", "")
