"""`say`: plans the rows, composes or synthesizes their audio, and writes the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from areca.audio import conform
from areca.errors import InvalidConfig
from areca.fitting.recordings.batches import write_batches
from areca.fitting.recordings.samples import set_level, trim
from areca.interfaces import Job
from areca.manifest import Manifest, read_manifest, write_manifest
from areca.types import Audio
from areca_say import SayConfig
from areca_say.asterisk.recordings import OTHER_VOICES, SAMPLE_RATE_HZ, VOICES
from areca_say.clips import LANGUAGES, list_clips
from areca_say.human import Composition, Speaker
from areca_say.plan import TARGET_LANGUAGE, PlannedRow, Speech, plan_rows, target_path
from areca_say.synthetic import Sentence, find_espeak, speak
from areca_say.wording import spell_out

_BATCH = 100
"""Files of a batch. Never change it: espeak-ng's output depends on the earlier utterances of a batch."""
_MARGIN_S = 0.02
"""Seconds of silence before and after synthetic speech."""
_TARGET_VOICE = ("f2", 50, 160)
"""Speaker, pitch and words per minute of synthetic English translations."""
_RECORDED_VOICES = {"human": VOICES, "human-unheard": OTHER_VOICES}
"""Recorded voices by source and language."""
File = tuple[str, Speech]
"""A file's path in the job's directory, and its content."""


class Say:
    """Dataset `say`."""

    @staticmethod
    def fit(config: SayConfig, needs: Mapping[str, Any], data: Manifest | None, job: Job) -> None:
        """Write ``manifest.jsonl``, ``audio/`` and ``target/``; finished batches of an interrupted job are reused.

        Raises:
            InvalidConfig: no source speaks any of the languages.
            MissingDependency: the recordings, PyAV or espeak-ng are not available.
        """
        # Plan every row and every file.
        speakers = _open_speakers(config)
        cells = plan_rows(config, speakers, job.seed)
        if not any(cells):
            raise InvalidConfig(
                f"say: no source of {config.sources} speaks any of {config.languages} (human has no German)"
            )
        translator = speakers["human", TARGET_LANGUAGE] if config.target_source == "human" else None
        files: list[list[File]] = [[(planned.row.audio or "", planned.speech) for planned in cell] for cell in cells]
        files.append(_plan_targets(cells, translator))
        if any(isinstance(speech, Sentence) for cell in files for _, speech in cell):
            find_espeak()  # if it is missing, fail before any work
        # Speak them. A batch never holds files of two cells.
        batches = [cell[start : start + _BATCH] for cell in files for start in range(0, len(cell), _BATCH)]
        write_batches(batches, _render, job, workers=config.workers, unit="files")
        write_manifest(job.directory / "manifest.jsonl", (planned.row for cell in cells for planned in cell))

    @staticmethod
    def load(
        config: SayConfig, needs: Mapping[str, Any], files: Path, *, device: torch.device, dtype: torch.dtype
    ) -> Manifest:
        """Read the manifest."""
        return read_manifest(files / "manifest.jsonl")


def _open_speakers(config: SayConfig) -> dict[tuple[str, str], Speaker]:
    """Return the recorded voices that `config` needs, by source and language."""
    wanted = {(source, language): None for source in config.sources for language in config.languages}
    if config.target_source == "human":
        wanted["human", TARGET_LANGUAGE] = None
    return {
        (source, language): Speaker(_RECORDED_VOICES[source][language], config.archives)
        for source, language in wanted
        if language in LANGUAGES and language in _RECORDED_VOICES.get(source, {})
    }


def _plan_targets(cells: Sequence[Sequence[PlannedRow]], speaker: Speaker | None) -> list[File]:
    """Return the English recordings of all translated values; rows with equal values share a file."""
    values = {planned.value for cell in cells for planned in cell if planned.row.target_audio}
    return [
        (
            target_path(value),
            Composition(speaker, list_clips(value, TARGET_LANGUAGE), None)
            if speaker
            else Sentence(spell_out(value, TARGET_LANGUAGE), TARGET_LANGUAGE, *_TARGET_VOICE),
        )
        for value in sorted(values)
    ]


def _render(batch: Sequence[Speech]) -> Iterator[Audio]:
    """Yield the audio of each item; the sentences of a batch are spoken together."""
    sentences = [speech for speech in batch if isinstance(speech, Sentence)]
    spoken = map(_trim_and_level, speak(sentences)) if sentences else iter(())
    return (next(spoken) if isinstance(speech, Sentence) else speech.audio() for speech in batch)


def _trim_and_level(audio: Audio) -> Audio:
    """Convert synthetic speech to the rate, margins and level of the recordings."""
    audio = conform(audio, SAMPLE_RATE_HZ, 1)
    samples = set_level(trim(audio.samples[0].numpy(), SAMPLE_RATE_HZ, _MARGIN_S))
    return Audio(torch.from_numpy(samples)[None], SAMPLE_RATE_HZ, audio.name)
