"""`people`: makes clips of the packages' recordings, and writes them with a manifest."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from areca.audio import write
from areca.errors import InvalidManifest
from areca.files.writing import write_json
from areca.fitting.recordings.batches import run_batches
from areca.fitting.recordings.left_out import LeftOut
from areca.fitting.unfinished import SEAL, is_intact, seal_files
from areca.interfaces import Job
from areca.manifest import FileManifest, Manifest, Utterance, read_manifest, write_manifest
from areca.types import Audio
from areca_people.clips import Clip, make_clips
from areca_people.options import PeopleConfig
from areca_people.packages import PACKAGES
from areca_people.plan import Batch, plan_batches

MANIFEST, LEFT_OUT = "manifest.jsonl", "left_out.json"


class People:
    """Dataset `people`."""

    @staticmethod
    def fit(config: PeopleConfig, needs: Mapping[str, Any], data: Manifest | None, job: Job) -> None:
        """Write the manifest, ``left_out.json`` and ``audio/``; finished batches of an interrupted job are reused.

        Raises:
            MissingDependency: a package or PyAV is not available.
            InvalidManifest: every recording is left out.
        """
        left_out = LeftOut()
        batches = plan_batches(config, job.seed, left_out)

        def build(number: int, batch: Batch) -> dict[str, Any]:
            return _build_batch(number, batch, config, job)

        results = run_batches(batches, build, job, workers=config.workers, unit="recordings")
        for result in results:
            for counted in result["left_out"]:
                left_out.add(*counted)
        rows = [Utterance(**row) for result in results for row in result["rows"]]
        if not rows:
            raise InvalidManifest("\n  ".join(["people: every recording is left out:", *left_out.messages]))
        write_json(job.directory / LEFT_OUT, left_out.messages)
        write_manifest(job.directory / MANIFEST, rows)

    @staticmethod
    def load(
        config: PeopleConfig, needs: Mapping[str, Any], files: Path, *, device: torch.device, dtype: torch.dtype
    ) -> FileManifest:
        """Read the manifest, what was left out, and the summary of each package."""
        manifest = read_manifest(files / MANIFEST)
        left_out = json.loads((files / LEFT_OUT).read_text(encoding="utf-8"))
        return dataclasses.replace(manifest, skipped=tuple(left_out), notes=tuple(summarise(manifest.rows)))


def summarise(rows: Sequence[Utterance]) -> list[str]:
    """Return a line for each package: its licences, the number of speakers and clips, and the minutes."""
    by_package: defaultdict[str, list[Utterance]] = defaultdict(list)
    for row in rows:
        by_package[row.extra["package"]].append(row)
    lines = [_summarise(name, by_package[name]) for name in PACKAGES if name in by_package]
    return [*lines, _summarise("all packages", rows)] if len(lines) > 1 else lines


def _summarise(name: str, rows: Sequence[Utterance]) -> str:
    licenses = ", ".join(dict.fromkeys(row.extra["licence"] for row in rows)) if name in PACKAGES else "all licences"
    speakers = len({row.speaker for row in rows if row.speaker})
    people = f"{speakers} {'speaker' if speakers == 1 else 'speakers'}"
    minutes = sum(row.extra["seconds"] for row in rows) / 60
    unnamed = sum(row.speaker is None for row in rows)
    others = f" ({unnamed:,} of several people without a name)" if unnamed else ""
    return f"{name}: {licenses}; {people}, {minutes:.1f} minutes, {len(rows):,} clips{others}"


def _build_batch(number: int, batch: Batch, config: PeopleConfig, job: Job) -> dict[str, Any]:
    """Write the clips of a batch, unless an interrupted job did so and they are intact; return their rows."""
    voice = batch.recordings[0].voice
    folder, listing = job.directory / "audio" / voice.name, job.work / f"batch-{number:06}.json"
    seal = job.work / f"batch-{number:06}.{SEAL}"

    def list_files() -> list[Path]:  # known only afterwards: recordings are cut and joined
        return [listing, *sorted(folder.glob(f"{number:05}-*.flac"))]

    if not (seal.exists() and is_intact(seal, list_files())):
        left_out = LeftOut()
        rows = []
        folder.mkdir(parents=True, exist_ok=True)
        for index, clip in enumerate(make_clips(batch.recordings, config, left_out)):
            name = f"{voice.name}/{number:05}-{index:03}"
            samples = torch.from_numpy(clip.samples)[None]
            write(job.directory / f"audio/{name}.flac", Audio(samples, config.sample_rate_hz, name))
            rows.append(_describe(name, clip, batch.split, config))
        write_json(listing, {"rows": rows, "left_out": left_out.counts})
        seal_files(seal, list_files())
    content: dict[str, Any] = json.loads(listing.read_text(encoding="utf-8"))
    return content


def _describe(name: str, clip: Clip, split: str, config: PeopleConfig) -> dict[str, Any]:
    """Return the columns of a clip's row."""
    first = clip.sources[0]
    return {
        "id": name,
        "audio": f"audio/{name}.flac",
        "language": first.voice.language,
        "speaker": None if first.voice.several else first.voice.name,
        "split": split,
        "source": "people",
        "extra": {
            "package": first.package.name,
            "licence": first.package.license_of(first.voice),
            "source_rate_hz": min(recording.rate_hz for recording in clip.sources),
            "seconds": round(len(clip.samples) / config.sample_rate_hz, 3),
            "files": [recording.name for recording in clip.sources],
        },
    }
