"""`asterisk`: decodes the recordings and writes them as a parallel manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from areca.fitting.recordings.batches import write_batches
from areca.fitting.recordings.splits import assign_split
from areca.interfaces import Job
from areca.manifest import Manifest, Utterance, read_manifest, write_manifest
from areca.types import Audio
from areca_say.asterisk import AsteriskConfig
from areca_say.asterisk.recordings import VOICES, Recordings
from areca_say.asterisk.transcripts import clean_transcripts

_TRANSLATION = "en"
_BATCH = 32
"""Recordings that a thread decodes at a time."""


class Asterisk:
    """Dataset `asterisk`."""

    @staticmethod
    def fit(config: AsteriskConfig, needs: Mapping[str, Any], data: Manifest | None, job: Job) -> None:
        """Write ``manifest.jsonl`` and ``audio/``; decoded recordings of an interrupted job are reused.

        Raises:
            MissingDependency: the recordings or PyAV are not available.
        """
        voices = {language: Recordings(VOICES[language], config.archives) for language in config.languages}
        texts = {language: _read_texts(language, voice) for language, voice in voices.items()}
        rows = [_build_row(language, key, texts, config) for language in config.languages for key in texts[language]]

        def decode(batch: Sequence[Utterance]) -> Iterator[Audio]:
            return (voices[row.language or ""].read(row.extra["key"]) for row in batch)

        files = [(row.audio or "", row) for row in rows]
        batches = [files[start : start + _BATCH] for start in range(0, len(files), _BATCH)]
        write_batches(batches, decode, job, workers=config.workers, unit="recordings")
        write_manifest(job.directory / "manifest.jsonl", rows)

    @staticmethod
    def load(
        config: AsteriskConfig, needs: Mapping[str, Any], files: Path, *, device: torch.device, dtype: torch.dtype
    ) -> Manifest:
        """Read the manifest."""
        return read_manifest(files / "manifest.jsonl")


def _read_texts(language: str, recordings: Recordings) -> dict[str, str]:
    """Return the text of each recording that has a plain transcript, by key."""
    texts = clean_transcripts(language, recordings.transcripts())
    return {key: texts[key] for key in recordings.files if key in texts}


def _build_row(language: str, key: str, texts: Mapping[str, Mapping[str, str]], config: AsteriskConfig) -> Utterance:
    translation = None if language == _TRANSLATION else texts.get(_TRANSLATION, {}).get(key)
    return Utterance(
        id=f"{language}/{key}",
        audio=f"audio/{language}/{key}.flac",
        text=texts[language][key],
        language=language,
        speaker=VOICES[language].folder,
        split=assign_split(key, config.test_share, config.validation_share),
        source="human",
        target_audio=f"audio/{_TRANSLATION}/{key}.flac" if translation else None,
        target_text=translation,
        target_language=_TRANSLATION if translation else None,
        extra={"key": key},
    )
