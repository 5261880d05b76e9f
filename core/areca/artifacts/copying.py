"""Copy a manifest with its recordings into a folder, wherever the recordings are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from areca.audio import write
from areca.job import Progress, no_progress
from areca.manifest import Manifest, Utterance, write_manifest
from areca.types import Audio

MANIFEST = "manifest.jsonl"
"""The file that `copy_manifest` writes the rows to."""


def copy_manifest(manifest: Manifest, folder: Path, progress: Progress = no_progress) -> None:
    """Write ``manifest.jsonl`` and, under ``audio/``, each recording once, as 16-bit FLAC at its own sampling rate.

    A part of a recording is written as a separate file: no row of the copy has an offset.

    Args:
        manifest: the rows.
        folder: exists, and is empty.
        progress: receives the number of rows.

    Raises:
        InvalidAudio: a recording cannot be decoded or written.
        StorageError: the disk refuses.
    """
    files: dict[tuple[object, ...], str] = {}
    (folder / "audio").mkdir()

    def write_file(recording: tuple[object, ...], sound: Audio) -> str:
        files[recording] = f"audio/{len(files):06}.flac"
        write(folder / files[recording], sound)
        return files[recording]

    def copy(row: Utterance) -> Utterance:
        if row.audio is not None:
            recording: tuple[object, ...] = (row.audio, row.offset_s, row.duration_s)
            name = files.get(recording) or write_file(recording, manifest.audio(row))
            row = replace(row, audio=name, offset_s=0.0, duration_s=None)
        if row.target_audio is not None:
            recording = ("target", row.target_audio)
            row = replace(row, target_audio=files.get(recording) or write_file(recording, manifest.target_audio(row)))
        return row

    rows = []
    for done, row in enumerate(manifest.rows, start=1):
        rows.append(copy(row))
        progress(done, len(manifest.rows), "rows")
    write_manifest(folder / MANIFEST, rows)
