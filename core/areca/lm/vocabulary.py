"""The joint vocabulary of an LM: ids of text, then controls, then audio streams (AudioPaLM, section 3.1)."""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from areca.errors import InvalidArtifact, InvalidConfig, quote, suggest
from areca.fields import ROLE
from areca.specs import Stream

_STREAM = re.compile(rf"{ROLE.pattern}/(0|[1-9][0-9]*)")


class Control(enum.Enum):
    """Control tokens; their ids follow the text ids in this order."""

    PAD = 0
    BEGIN_AUDIO = 1
    END_AUDIO = 2
    END_SEGMENT = 3
    END_SEQUENCE = 4


@dataclass(frozen=True)
class Vocabulary:
    """The layout of ids: text ``[0, text_size)``, the five controls, then each stream in order.

    Args:
        text_size: rows of the text LM's embedding, or the size of its tokenizer if that is larger.
        text_hash: sha256 of the text tokenizer's files, see `areca.lm.text.TextTokenizer`.
        streams: ``(name, size)`` of each stream; names have the form ``role/k``.

    Raises:
        InvalidConfig: two streams have the same name, a name does not have the form ``role/k``, or a size is not
            positive.
    """

    text_size: int
    text_hash: str
    streams: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        counts = Counter(name for name, _ in self.streams)
        if repeated := sorted(name for name, count in counts.items() if count > 1):
            raise InvalidConfig(
                f"streams {quote(repeated)} are already in the vocabulary: give the new tokenizer another role"
            )
        for name, size in (("text", self.text_size), *self.streams):
            if name != "text" and not _STREAM.fullmatch(name):
                raise InvalidConfig(f"stream {quote(name)}: expected 'role/k', like 'speech/0', with an identifier")
            if size < 1:
                raise InvalidConfig(f"{name[:80]}: expected at least one id, got {quote(size)}")

    @classmethod
    def make(cls, text_size: int, text_hash: str, roles: Mapping[str, tuple[Stream, ...]]) -> Vocabulary:
        """Create a vocabulary with roles sorted by name and the streams of each role in order.

        Args:
            text_size: as for the class.
            text_hash: as for the class.
            roles: the streams of each tokenizer, by role.

        Raises:
            InvalidConfig: a role is not an identifier.
        """
        vocabulary = cls(text_size, text_hash, ())
        for role in sorted(roles):
            vocabulary = vocabulary.extend(role, roles[role])
        return vocabulary

    def extend(self, role: str, streams: tuple[Stream, ...]) -> Vocabulary:
        """Return a vocabulary with the streams of another role appended; existing ids keep their meaning.

        Raises:
            InvalidConfig: the role already exists, or is not an identifier.
        """
        added = tuple((f"{role}/{k}", stream.size) for k, stream in enumerate(streams))
        return replace(self, streams=self.streams + added)

    @cached_property
    def _spans(self) -> dict[str, range]:
        spans, start = {}, self.text_size + len(Control)
        for name, size in self.streams:
            spans[name] = range(start, start + size)
            start += size
        return spans

    @cached_property
    def size(self) -> int:
        """Total number of ids."""
        return self.text_size + len(Control) + sum(size for _, size in self.streams)

    def control(self, control: Control) -> int:
        """Return the id of a control."""
        return self.text_size + control.value

    def span(self, stream: str) -> range:
        """Return the ids of a stream, for example ``span("speech/0")``.

        Raises:
            InvalidConfig: the stream does not exist; the message suggests the most similar name.
        """
        if stream not in self._spans:
            known = ", ".join(self._spans) or "none"
            raise InvalidConfig(f"no stream {quote(stream)}{suggest(stream, self._spans)}\n  streams: {known}")
        return self._spans[stream]

    def to_json(self) -> dict[str, Any]:
        """Return the vocabulary as JSON values, for `from_json`."""
        return {
            "text_size": self.text_size,
            "text_hash": self.text_hash,
            "controls": {control.name.lower(): self.control(control) for control in Control},
            "streams": [list(stream) for stream in self.streams],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Vocabulary:
        """Build a vocabulary from the values of `to_json`.

        Raises:
            InvalidArtifact: a value is missing or wrong, or the controls are in another order.
        """
        try:
            streams = tuple((str(name), int(size)) for name, size in values["streams"])
            vocabulary = cls(int(values["text_size"]), str(values["text_hash"]), streams)
        except (KeyError, TypeError, ValueError) as e:
            reason = f"{type(e).__name__}: {quote(str(e))}"
            raise InvalidArtifact(f"vocabulary: expected text_size, text_hash and streams; {reason}") from e
        if values.get("controls") != (expected := vocabulary.to_json()["controls"]):
            raise InvalidArtifact(f"vocabulary: expected controls {expected}, got {quote(values.get('controls'))}")
        return vocabulary
