"""Manifests: JSON Lines, one utterance a row, paths relative to the file; every row is checked on reading."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One row of a manifest.

    Args:
        id: unique in the manifest.
        audio: path of the recording, relative to the manifest's folder.
        text: what it says.
        language: ISO 639-1 code, as ``"fr"``.
        speaker: who says it.
        split: ``"train"``, ``"validation"``, ``"test"`` or another name.
        source: where it comes from, as ``"human"``.
        offset_s, duration_s: the part of the recording that is meant, in seconds; None: to the end.
        target_audio, target_text, target_language: the translated side, where there is one.
        extra: anything more, open to tasks as ``extra.<name>``.
    """

    id: str
    audio: str | None = None
    text: str | None = None
    language: str | None = None
    speaker: str | None = None
    split: str = "train"
    source: str | None = None
    offset_s: float = 0.0
    duration_s: float | None = None
    target_audio: str | None = None
    target_text: str | None = None
    target_language: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
