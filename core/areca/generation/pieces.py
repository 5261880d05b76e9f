"""Turn the growing ids of a text into pieces of text. The pieces together are the text of all ids."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from areca.lm.text import TextTokenizer

_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
"""A token of SentencePiece that stands for one byte."""
_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""What the bytes of an incomplete character are decoded to."""
_TOKEN_BY_TOKEN = frozenset({"ByteFallback", "BPEDecoder", "Metaspace", "Replace", "Strip", "WordPiece"})
"""Decoders that change a token by its own characters, or by whether it is the first or the last one."""
_JOINING = frozenset({"ByteLevel", "Fuse"})
"""Decoders that join all tokens. Afterwards only ``Strip`` is known to keep the text that a shorter sequence gives."""


class TextPieces:
    """One text while it grows.

    An id may be a part of a character, and it may change how the ids before it are decoded. A piece therefore holds
    only text that no further id can change. With byte-level BPE, WordPiece and SentencePiece this is all whole
    characters, except that the single bytes of SentencePiece wait for an id of another sort. With a decoder that is
    none of these, the whole text is the last piece.

    Args:
        tokenizer: decodes the ids.

    Example:
        >>> pieces = TextPieces(lm.text_tokenizer)
        >>> for i in ids:
        ...     print(pieces.push([i]), end="", flush=True)
        >>> print(pieces.finish())
    """

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer
        steps = list(_decoding_steps(tokenizer))
        self._grows = _keeps_earlier_text(steps)
        self._joins_bytes = any(step["type"] == "ByteFallback" for step in steps)
        added = tokenizer.backend.get_added_tokens_decoder()
        self._skipped = {i for i, token in added.items() if token.special}
        self._ids: list[int] = []
        self._length = 0
        """Number of characters in the pieces so far."""

    def push(self, ids: Sequence[int]) -> str:
        """Append ids, and return the text that they complete, which may be empty."""
        self._ids.extend(ids)
        return self._take(self._settled()) if self._grows else ""

    def finish(self) -> str:
        """Return the rest of the text, which may be empty."""
        return self._take(self._tokenizer.decode(self._ids))

    def _take(self, text: str) -> str:
        piece = text[self._length :]
        self._length = max(self._length, len(text))
        return piece

    def _settled(self) -> str:
        """Return the beginning of the text that no further id can change."""
        count = len(self._ids)
        if self._joins_bytes:
            # A sequence of single bytes is decoded as a whole: to characters, or each byte to "�".
            while count and self._may_join(self._ids[count - 1]):
                count -= 1
        return self._tokenizer.decode(self._ids[:count]).rstrip(_INCOMPLETE)

    def _may_join(self, i: int) -> bool:
        """Return whether an id is a single byte, or is skipped in decoding."""
        token = self._tokenizer.backend.id_to_token(i)
        return token is None or i in self._skipped or _BYTE.fullmatch(token) is not None


def _decoding_steps(tokenizer: TextTokenizer) -> Iterator[Mapping[str, Any]]:
    """Yield the steps of the tokenizer's decoder, as in its ``tokenizer.json``; none if it joins tokens by spaces."""
    decoder = tokenizer.backend.decoder
    if decoder is not None:
        yield from _flatten(json.loads(decoder.__getstate__()))


def _flatten(step: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if step["type"] == "Sequence":
        for inner in step["decoders"]:
            yield from _flatten(inner)
    else:
        yield step


def _keeps_earlier_text(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the text of the first ids, apart from incomplete characters, begins the text of more ids."""
    joined = False
    for step in steps:
        kind = step["type"]
        if kind not in _JOINING and kind not in ({"Strip"} if joined else _TOKEN_BY_TOKEN):
            return False
        joined = joined or kind in _JOINING
    return True
