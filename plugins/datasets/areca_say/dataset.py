"""`say`: plans the rows, lets people and espeak-ng say them, and writes the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from areca.audio import conform, write
from areca.errors import InvalidConfig
from areca.interfaces import Job
from areca.manifest import Manifest, write_manifest
from areca.types import Audio
from areca_asterisk.recordings import OTHER_VOICES, SAMPLE_RATE_HZ, VOICES
from areca_say import SayConfig
from areca_say.clips import LANGUAGES, clips
from areca_say.human import Speaker
from areca_say.plan import TARGET_LANGUAGE, Planned, generator, plan, target_path
from areca_say.synthetic import Sentence, speak
from areca_say.trimming import trim
from areca_say.values import Value
from areca_say.wording import text

_BATCH = 100
_MARGIN_S = 0.02
_TARGET_VARIANT = "f2"
_PEOPLE = {"human": VOICES, "human-unheard": OTHER_VOICES}
Said = Iterable[tuple[str, Audio]]
"""Audio, and where it goes in the job's directory."""


class Say:
    """Dataset `say`."""

    @staticmethod
    def fit(config: SayConfig, needs: Mapping[str, Any], data: Manifest | None, job: Job) -> None:
        """Write ``manifest.jsonl``, ``audio/`` and ``target/``; batches that an interrupted job finished are kept.

        Raises:
            InvalidConfig: nobody speaks any of the languages.
            MissingDependency: the recordings, PyAV or espeak-ng cannot be had.
        """
        speakers = _speakers(config)
        cells = plan(config, speakers, job.seed)
        if not any(cells):
            raise InvalidConfig(f"say: nobody speaks {config.languages} in {config.sources} (there is no German human)")
        for folder in {str(Path(planned.row.audio or "").parent) for cell in cells for planned in cell} | {"target"}:
            (job.directory / folder).mkdir(parents=True, exist_ok=True)
        batches = [*_batches(cells, speakers, job.seed), *_target_batches(cells, config)]
        _run(batches, job, config.workers)
        write_manifest(job.directory / "manifest.jsonl", (planned.row for cell in cells for planned in cell))

    @staticmethod
    def load(
        config: SayConfig, needs: Mapping[str, Any], files: Path, *, device: torch.device, dtype: torch.dtype
    ) -> Manifest:
        """Read the manifest back."""
        return Manifest.read(files / "manifest.jsonl")


def _speakers(config: SayConfig) -> dict[tuple[str, str], Speaker]:
    wanted = [(source, language) for source in config.sources for language in config.languages]
    if config.target_source == "human" and set(config.languages) != {TARGET_LANGUAGE}:
        wanted.append(("human", TARGET_LANGUAGE))
    return {
        (source, language): Speaker(_PEOPLE[source][language], config.archives)
        for source, language in wanted
        if language in LANGUAGES and language in _PEOPLE.get(source, {})
    }


Batch = tuple[list[str], Callable[[], Said]]
"""Where a batch's files go, and what makes them."""


def _batches(cells: list[list[Planned]], speakers: Mapping[tuple[str, str], Speaker], seed: int) -> Iterator[Batch]:
    for cell in cells:
        for start in range(0, len(cell), _BATCH):
            batch = cell[start : start + _BATCH]
            paths = [planned.row.audio or "" for planned in batch]
            if batch[0].sentence is None:
                speaker = speakers[batch[0].row.source or "", batch[0].row.language or ""]
                yield paths, _Composed(speaker, batch, seed)
            else:
                yield paths, _Spoken(paths, [planned.sentence for planned in batch if planned.sentence])


class _Composed:
    def __init__(self, speaker: Speaker, batch: list[Planned], seed: int) -> None:
        self._speaker, self._batch, self._seed = speaker, batch, seed

    def __call__(self) -> Said:
        for planned in self._batch:
            rng = generator("joins", self._seed, planned.row.id)
            samples = self._speaker.say(clips(planned.value, planned.row.language or ""), rng)
            yield planned.row.audio or "", Audio(torch.from_numpy(samples)[None], SAMPLE_RATE_HZ, planned.row.id)
