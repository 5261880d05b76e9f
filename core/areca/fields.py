"""Fields of an example: what a task reads and writes, by path, role and streams. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from areca.errors import InvalidConfig, quote

ROLE = re.compile(r"[a-z][a-z0-9_]*")
"""A tokenizer's name in a run. In the vocabulary its streams are ``role/0``, ``role/1`` ..."""
VOICE = "voice.audio"
"""Path of a voice prompt."""
VOICE_S = 3.0
"""Default length of a voice prompt in seconds (AudioPaLM, section 3.3)."""
_PATH = re.compile(r"(source|target)\.(audio|text)|voice\.audio|extra\.[A-Za-z_][A-Za-z0-9_-]*")

SegmentKind = Literal["text", "audio"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an example. Path, role and streams identify it; `name` is the three as text.

    Args:
        path: ``source.audio``, ``source.text``, ``target.audio``, ``target.text``, ``extra.<name>`` (text), or
            ``voice.audio``: speech in the voice of the source, from other rows of its speaker (from the same row if
            there are none).
        role: role of the tokenizer that encodes the audio; None: `lm.reads` in a prompt, `lm.writes` in an answer.
        streams: the streams ``[first, stop)`` of the tokenizer; None: all.
        crop_s: longest span of the audio in seconds; training draws the span by seed. None: the whole recording, but
            3 s for ``voice.audio``. Fields with the same path and `crop_s` have the same span.

    Raises:
        InvalidConfig: any other path, a role that is not a name, streams that are not a range, a `crop_s` that is not
            positive, or any of these for a text.

    Example:
        >>> Field("source.audio").kind
        'audio'
        >>> Field("source.audio", role="acoustic", streams=(0, 4)).name
        'source.audio:acoustic[0:4]'
    """

    path: str
    role: str | None = None
    streams: tuple[int, int] | None = None
    crop_s: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not _PATH.fullmatch(self.path):
            raise InvalidConfig(
                f"field {quote(self.path)}: expected source.audio, source.text, target.audio, target.text, "
                f"{VOICE} or extra.<name>"
            )
        if self.kind == "text" and (self.role, self.streams, self.crop_s) != (None, None, None):
            raise InvalidConfig(f"field {self.path!r} is a text: only audio has a role, streams and crop_s")
        if self.role is not None and not (isinstance(self.role, str) and ROLE.fullmatch(self.role)):
            raise InvalidConfig(
                f"field {self.path!r}: expected a role of lowercase letters, digits and '_', got {quote(self.role)}"
            )
        if self.streams is not None and not _is_range(self.streams):
            raise InvalidConfig(f"field {self.path!r}: expected streams (first, stop), got {quote(self.streams)}")
        if self.crop_s is not None and not (isinstance(self.crop_s, (int, float)) and self.crop_s > 0):
            raise InvalidConfig(f"field {self.path!r}: crop_s must be a positive number, got {quote(self.crop_s)}")
        if self.path == VOICE and self.crop_s is None:
            object.__setattr__(self, "crop_s", VOICE_S)

    @classmethod
    def of(cls, value: object) -> Field:
        """Return the field that a YAML value describes.

        Args:
            value: a path, or ``{path: source.audio, role: acoustic, streams: [0, 4], crop_s: 10}``.

        Raises:
            InvalidConfig: it is neither, or the field is wrong.
        """
        if isinstance(value, Mapping):
            options: dict[str, Any] = {str(name): option for name, option in value.items()}
            if "path" in options and options.keys() <= {"path", "role", "streams", "crop_s"}:
                streams = options.pop("streams", None)
                return cls(**options, streams=tuple(streams) if isinstance(streams, Sequence) else streams)
        elif isinstance(value, str):
            return cls(value)
        raise InvalidConfig(
            f"field {quote(value)}: expected a path, or {{path: source.audio, role: acoustic, streams: [0, 4], "
            "crop_s: 10}; all but the path may be left out"
        )

    @property
    def kind(self) -> SegmentKind:
        """Kind of the segment that holds the field: ``"audio"`` or ``"text"``."""
        return "audio" if self.path.endswith(".audio") and not self.path.startswith("extra.") else "text"

    @property
    def column(self) -> Literal["audio", "target_audio"]:
        """The column of a manifest with the recording of an audio field."""
        return "target_audio" if self.path == "target.audio" else "audio"

    @property
    def name(self) -> str:
        """The field's identity as text: its path, role and streams, such as ``"source.audio:acoustic[0:4]"``."""
        role = "" if self.role is None else f":{self.role}"
        streams = "" if self.streams is None else f"[{self.streams[0]}:{self.streams[1]}]"
        return f"{self.path}{role}{streams}"

    def with_role(self, role: str) -> Field:
        """Return the field with `role` if it is audio that names none; otherwise the field itself."""
        return replace(self, role=role) if self.kind == "audio" and self.role is None else self

    def __str__(self) -> str:
        return self.name


def _is_range(streams: object) -> bool:
    if not isinstance(streams, tuple) or len(streams) != 2 or any(type(k) is not int for k in streams):
        return False
    return bool(0 <= streams[0] < streams[1])


def check_fields(inputs: Iterable[Field], outputs: Iterable[Field]) -> None:
    """Refuse fields that one task cannot have.

    Raises:
        InvalidConfig: there is no output, two outputs are the same field, an output is a voice prompt, or two inputs
            are the same field with different spans.
    """
    names = [field.name for field in outputs]
    if not names or len(set(names)) != len(names):
        raise InvalidConfig(f"expected one or more different outputs, got {names}")
    if voices := [name for name in names if name.startswith(VOICE)]:
        raise InvalidConfig(f"{', '.join(voices)} is a voice prompt: expected it among the inputs")
    spans: dict[str, float | None] = {}
    for field in inputs:
        if spans.setdefault(field.name, field.crop_s) != field.crop_s:
            raise InvalidConfig(f"input {field.name} has two values of crop_s: {spans[field.name]} and {field.crop_s}")
