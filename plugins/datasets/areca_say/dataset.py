"""`say`: plans the rows, composes or synthesizes their audio, and writes the manifest."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from areca.audio import conform, write
from areca.errors import InvalidConfig
from areca.fitting.unfinished import SEAL, build_once
from areca.interfaces import Job
from areca.manifest import Manifest, read_manifest, write_manifest
from areca.types import Audio
from areca_say import SayConfig
from areca_say.asterisk.recordings import OTHER_VOICES, SAMPLE_RATE_HZ, VOICES
from areca_say.clips import LANGUAGES, clips
from areca_say.human import Composition, Speaker
from areca_say.plan import TARGET_LANGUAGE, Planned, Speech, plan, target_path
from areca_say.samples import set_level, trim
from areca_say.synthetic import Sentence, loader, speak
from areca_say.wording import text

_BATCH = 100
"""Files made at a time. espeak-ng's output depends on earlier utterances in a batch: another size, other data."""
_MARGIN_S = 0.02
_TARGET_VOICE = ("f2", 50, 160)
_PEOPLE = {"human": VOICES, "human-unheard": OTHER_VOICES}
Batch = Sequence[tuple[str, Speech]]
"""Each file's path in the job's directory, and its content."""


class Say:
    """Dataset `say`."""

    @staticmethod
    def fit(config: SayConfig, needs: Mapping[str, Any], data: Manifest | None, job: Job) -> None:
        """Write ``manifest.jsonl``, ``audio/`` and ``target/``; finished batches of an interrupted job are reused.

        Raises:
            InvalidConfig: no source speaks any of the languages.
            MissingDependency: the recordings, PyAV or espeak-ng are not available.
        """
        speakers = _speakers(config)
        cells = plan(config, speakers, job.seed)
        if not any(cells):
            raise InvalidConfig(
                f"say: no source of {config.sources} speaks any of {config.languages} (human has no German)"
            )
        translator = speakers["human", TARGET_LANGUAGE] if config.target_source == "human" else None
        files: list[Batch] = [[(planned.row.audio or "", planned.speech) for planned in cell] for cell in cells]
        files.append(_targets(cells, translator))
        if any(isinstance(speech, Sentence) for batch in files for _, speech in batch):
            loader()  # raises before anything is composed
        batches = [cell[start : start + _BATCH] for cell in files for start in range(0, len(cell), _BATCH)]
        _make_all(batches, job, config.workers)
        write_manifest(job.directory / "manifest.jsonl", (planned.row for cell in cells for planned in cell))

    @staticmethod
    def load(
        config: SayConfig, needs: Mapping[str, Any], files: Path, *, device: torch.device, dtype: torch.dtype
    ) -> Manifest:
        """Read the manifest."""
        return read_manifest(files / "manifest.jsonl")


def _speakers(config: SayConfig) -> dict[tuple[str, str], Speaker]:
    wanted = {(source, language): None for source in config.sources for language in config.languages}
    if config.target_source == "human":
        wanted["human", TARGET_LANGUAGE] = None
    return {
        (source, language): Speaker(_PEOPLE[source][language], config.archives)
        for source, language in wanted
        if language in LANGUAGES and language in _PEOPLE.get(source, {})
    }


def _targets(cells: Sequence[Sequence[Planned]], speaker: Speaker | None) -> Batch:
    """Return the English side of every translated value; rows with equal values share a file."""
    values = {planned.value for cell in cells for planned in cell if planned.row.target_audio}
    return [
        (
            target_path(value),
            Composition(speaker, clips(value, TARGET_LANGUAGE), None)
            if speaker
            else Sentence(text(value, TARGET_LANGUAGE), TARGET_LANGUAGE, *_TARGET_VOICE),
        )
        for value in sorted(values)
    ]


def _make_all(batches: Sequence[Batch], job: Job, workers: int) -> None:
    total, done = sum(map(len, batches)), 0
    for folder in sorted({Path(path).parent for batch in batches for path, _ in batch}):
        (job.directory / folder).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(workers) as pool:
        for made in pool.map(lambda number, batch: _make(number, batch, job), itertools.count(), batches):
            done += made
            job.progress(done, total, "files")


def _make(number: int, batch: Batch, job: Job) -> int:
    """Write the files of a batch, unless an interrupted job wrote them all and they are intact."""
    paths = [job.directory / path for path, _ in batch]

    def make() -> None:
        for path, audio in zip(paths, _speak([speech for _, speech in batch]), strict=True):
            write(path, audio)

    build_once(job.work / f"batch-{number:06}.{SEAL}", paths, make)
    return len(batch)


def _speak(batch: Sequence[Speech]) -> Iterator[Audio]:
    sentences = [speech for speech in batch if isinstance(speech, Sentence)]
    spoken = map(_tidy, speak(sentences)) if sentences else iter(())
    return (next(spoken) if isinstance(speech, Sentence) else speech.audio() for speech in batch)


def _tidy(audio: Audio) -> Audio:
    audio = conform(audio, SAMPLE_RATE_HZ, 1)
    samples = set_level(trim(audio.samples[0].numpy(), SAMPLE_RATE_HZ, _MARGIN_S))
    return Audio(torch.from_numpy(samples)[None], SAMPLE_RATE_HZ, audio.name)
