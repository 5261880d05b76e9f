"""Conformance checks of datasets."""

from __future__ import annotations

from areca.errors import InvalidManifest
from areca.manifest import Manifest
from areca.sound.hearing import require_audible
from areca.specs import DatasetSpec
from areca.testing.checked import CheckedComponent, Skipped
from areca.testing.fitting import check_fit_is_deterministic, check_fit_resumes

__all__ = ["check_fit_is_deterministic", "check_fit_resumes"]
_DECODED_ROWS = 8
"""Rows whose audio is decoded, for each side."""
_MEMBERS = ("rows", "key", "name", "select", "audio", "target_audio")


def check_rows(checked: CheckedComponent) -> None:
    """It loads as a `Manifest` with rows in the split "train", and no recording is in two splits."""
    manifest = _manifest(checked)
    splits: dict[object, str] = {}
    for row in manifest.rows:
        recording = (row.audio, row.offset_s, row.duration_s)
        before = splits.setdefault(recording, row.split) if row.audio else row.split
        assert before == row.split, f"row {row.id!r}: its recording is in splits {before!r} and {row.split!r}"
    assert "train" in {row.split for row in manifest.rows}, 'no row has the split "train"'


def check_key(checked: CheckedComponent) -> None:
    """The manifest's key is that of the dataset's artifact, from which a run computes other keys."""
    artifact = checked.loader.artifact(checked.part)
    if artifact is None:
        raise Skipped("it has no artifact: its component lacks the tag fit")
    key = _manifest(checked).key
    assert key == artifact.key, f"the manifest has the key {key!r}, the artifact {artifact.key!r}"


def check_select(checked: CheckedComponent) -> None:
    """A split has exactly its rows, and its own key; a split that does not exist is refused."""
    manifest = _manifest(checked)
    for split in sorted({row.split for row in manifest.rows}):
        selected = manifest.select(split=split)
        expected = [row.id for row in manifest.rows if row.split == split]
        actual = [row.id for row in selected.rows]
        assert actual == expected, f"split {split!r}: expected the rows {expected[:5]} ..., got {actual[:5]} ..."
        assert selected.key == manifest.select(split=split).key, f"split {split!r} has another key each time"
        is_only = len(expected) == len(manifest.rows)
        assert is_only or selected.key != manifest.key, f"split {split!r} has the key of all rows"
    try:
        manifest.select(split="no such split")
    except InvalidManifest:
        return
    raise AssertionError("select(split='no such split') raised no InvalidManifest")


def check_languages(checked: CheckedComponent) -> None:
    """The rows' languages are among those of the spec, if it names any."""
    if not _spec(checked).languages:
        raise Skipped("its spec names no languages")
    actual = sorted({row.language or "none" for row in _manifest(checked).rows})
    expected = sorted(_spec(checked).languages)
    assert set(actual) <= set(expected), f"the spec says languages {expected}, the rows have {actual}"


def check_audio(checked: CheckedComponent) -> None:
    """Its recordings are audible and have the spec's rate, unless the spec says that it varies."""
    manifest, rate_hz = _manifest(checked), _spec(checked).sample_rate_hz
    sides = [("audio", manifest.audio), ("target_audio", manifest.target_audio)]
    for column, read in sides:
        for row in [row for row in manifest.rows if getattr(row, column)][:_DECODED_ROWS]:
            audio = require_audible(read(row))
            assert rate_hz in (None, audio.sample_rate_hz), (
                f"row {row.id!r}, {column}: {audio.sample_rate_hz} Hz, the spec says {rate_hz} Hz"
            )


def _manifest(checked: CheckedComponent) -> Manifest:
    manifest = checked.instance
    lacking = [member for member in _MEMBERS if not hasattr(type(manifest), member) and not hasattr(manifest, member)]
    assert not lacking, f"load returned {type(manifest).__name__}, expected a Manifest; it lacks {', '.join(lacking)}"
    assert isinstance(manifest, Manifest)
    return manifest


def _spec(checked: CheckedComponent) -> DatasetSpec:
    spec = checked.part.spec
    assert isinstance(spec, DatasetSpec)
    return spec
