"""`asterisk`: decodes the recordings and writes them as a parallel manifest."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from areca.audio import write
from areca.fitting.unfinished import SEAL, build_once
from areca.interfaces import Job
from areca.manifest import Manifest, Utterance, read_manifest, write_manifest
from areca_say.asterisk import AsteriskConfig
from areca_say.asterisk.recordings import VOICES, Recordings
from areca_say.asterisk.transcripts import cleaned

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
        texts = {language: _texts(language, voice) for language, voice in voices.items()}
        rows = [_row(language, key, texts, config) for language in config.languages for key in texts[language]]

        def decode(number: int, batch: Sequence[Utterance]) -> int:
            paths = [job.directory / (row.audio or "") for row in batch]

            def make() -> None:
                for path, row in zip(paths, batch, strict=True):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write(path, voices[row.language or ""].read(row.extra["key"]))

            build_once(job.work / f"batch-{number:06}.{SEAL}", paths, make)
            return len(batch)

        batches = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
        done = 0
        with ThreadPoolExecutor(config.workers) as pool:
            for decoded in pool.map(decode, itertools.count(), batches):
                done += decoded
                job.progress(done, len(rows), "recordings")
        write_manifest(job.directory / "manifest.jsonl", rows)

    @staticmethod
    def load(
        config: AsteriskConfig, needs: Mapping[str, Any], files: Path, *, device: torch.device, dtype: torch.dtype
    ) -> Manifest:
        """Read the manifest."""
        return read_manifest(files / "manifest.jsonl")


def _texts(language: str, recordings: Recordings) -> dict[str, str]:
    texts = cleaned(language, recordings.transcripts())
    return {key: texts[key] for key in recordings.files if key in texts}


def _row(language: str, key: str, texts: Mapping[str, Mapping[str, str]], config: AsteriskConfig) -> Utterance:
    translation = None if language == _TRANSLATION else texts.get(_TRANSLATION, {}).get(key)
    return Utterance(
        id=f"{language}/{key}",
        audio=f"audio/{language}/{key}.flac",
        text=texts[language][key],
        language=language,
        speaker=VOICES[language].folder,
        split=_split(key, config),
        source="human",
        target_audio=f"audio/{_TRANSLATION}/{key}.flac" if translation else None,
        target_text=translation,
        target_language=_TRANSLATION if translation else None,
        extra={"key": key},
    )


def _split(key: str, config: AsteriskConfig) -> str:
    position = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    if position < config.test_share:
        return "test"
    return "validation" if position < config.test_share + config.validation_share else "train"
