"""The tokenizer of the text LM. It encodes all input as plain text, never as control tokens."""

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
from areca.hub.guard import call_guarded

_TOKENIZER = "tokenizer.json"
_LONGEST = 256 << 20
"""Maximum size of a tokenizer file, in bytes; the largest known ones have about 40 MB."""
_MOST_FILES = 100
_MOST_WORDS = 500_000
"""Maximum number of cached words that the tokenizer represents correctly."""


class TextTokenizer:
    """A fast tokenizer of transformers, stored as the bytes of its files so that a checkpoint restores it exactly.

    Args:
        files: content of each file by name, as written by ``save_pretrained``.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(sorted(files.items()))
        self._representable: set[str] = set()

    @classmethod
    def of(cls, tokenizer: Any) -> TextTokenizer:
        """Convert the tokenizer of a backbone, a ``PreTrainedTokenizerFast``.

        Raises:
            IncompatibleParts: `tokenizer` is not a fast tokenizer.
        """
        if not getattr(tokenizer, "is_fast", False):
            raise IncompatibleParts(f"expected a fast text tokenizer (tokenizer.json), got {type(tokenizer).__name__}")
        with TemporaryDirectory() as folder:
            tokenizer.save_pretrained(folder)
            return cls.read(Path(folder))

    @classmethod
    def read(cls, directory: Path) -> TextTokenizer:
        """Read a tokenizer from its files.

        Raises:
            InvalidArtifact: ``tokenizer.json`` is missing or damaged, or `directory` has too many or too large files.
        """
        paths = sorted(p for p in directory.rglob("*") if p.is_symlink() or not p.is_dir())
        if len(paths) > _MOST_FILES:
            raise InvalidArtifact(
                f"{directory}: expected at most {_MOST_FILES} files of a text tokenizer, found {len(paths)}"
            )
        files = {p.relative_to(directory).as_posix(): read_regular(p, most=_LONGEST) for p in paths}
        if _TOKENIZER not in files:
            raise InvalidArtifact(f"{directory}: expected a text tokenizer, found no {_TOKENIZER}")
        read = cls(files)
        call_guarded(str(directory / _TOKENIZER), lambda: read.size, InvalidArtifact)
        return read

    def write(self, directory: Path) -> None:
        """Write the files, byte for byte as they were read."""
        for name, content in self.files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(content)

    @cached_property
    def hash(self) -> str:
        """sha256 of the names and contents of the files, as hex."""
        digest = hashlib.sha256()
        for name, content in self.files.items():
            digest.update(f"{name}:{hashlib.sha256(content).hexdigest()}\n".encode())
        return digest.hexdigest()

    @cached_property
    def size(self) -> int:
        """Highest id plus one, including added tokens."""
        return 1 + max(self.backend.get_vocab().values(), default=-1)

    @cached_property
    def backend(self) -> Tokenizer:
        """The tokenizer object, configured to encode all input as plain text."""
        backend = Tokenizer.from_str(self.files[_TOKENIZER].decode())
        backend.encode_special_tokens = True  # a user's "<s>" is plain text, not a special token
        backend.no_truncation()
        backend.no_padding()
        return backend

    def encode(self, text: str) -> list[int]:
        """Encode text as ids, without special tokens.

        Raises:
            IncompatibleParts: a part of `text` has no token, and the tokenizer has no unknown token.
        """
        try:
            return list(self.backend.encode(text, add_special_tokens=False).ids)
        except Exception as e:  # tokenizers raises plain Exception
            raise IncompatibleParts(f"the text tokenizer of the backbone cannot encode {quote(text)}: {e}") from e

    def find_misspelled(self, texts: Iterable[str]) -> dict[str, str]:
        """Return the texts that encoding and decoding changes, each with its decoded text.

        Changes of white space, and changes by the tokenizer's normaliser (case, accents, width), are ignored.
        """
        distinct = list(dict.fromkeys(texts))
        # Words repeat, so each is checked once; a whole text is checked only if one of its words changes.
        words = {word for text in distinct for word in text.split()} - self._representable
        wrong = set(self._changed(sorted(words)))
        if len(self._representable) > _MOST_WORDS:
            self._representable.clear()
        self._representable |= words - wrong
        return self._changed([text for text in distinct if not wrong.isdisjoint(text.split())]) if wrong else {}

    def _changed(self, texts: Sequence[str]) -> dict[str, str]:
        try:
            ids = [encoded.ids for encoded in self.backend.encode_batch_fast(texts, add_special_tokens=False)]
        except Exception:  # one of the texts cannot be encoded; `encode` names it
            ids = [self.encode(text) for text in texts]
        decoded = self.backend.decode_batch(ids, skip_special_tokens=True)
        pairs = zip(texts, decoded, strict=True)
        return {text: other for text, other in pairs if text != other and not self._is_equivalent(text, other)}

    def _is_equivalent(self, text: str, decoded: str) -> bool:
        if _letters(text) == _letters(decoded):
            return True
        normaliser = self.backend.normalizer
        return normaliser is not None and _letters(normaliser.normalize_str(text)) == _letters(decoded)

    def decode(self, ids: Sequence[int]) -> str:
        """Decode ids to text; special tokens and ids without a token are skipped."""
        return str(self.backend.decode(list(ids), skip_special_tokens=True))


def _letters(text: str) -> str:
    """Return `text` without white space, which SentencePiece writes as "▁"."""
    return "".join(text.split()).replace("▁", "")
