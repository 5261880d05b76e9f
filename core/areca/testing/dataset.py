"""Conformance checks of datasets."""

from __future__ import annotations

from areca.manifest import Manifest
from areca.sound.hearing import require_audible
from areca.specs import DatasetSpec
from areca.testing.checked import CheckedComponent
from areca.testing.fitting import check_fit_is_deterministic, check_fit_resumes

__all__ = ["check_fit_is_deterministic", "check_fit_resumes"]
_DECODED_ROWS = 8
"""Rows whose audio is decoded, for each side."""


def check_rows(checked: CheckedComponent) -> None:
    """It loads as a `Manifest` with rows in the split "train", and no recording is in two splits."""
    manifest = _manifest(checked)
    splits: dict[object, str] = {}
    for row in manifest.rows:
        recording = (row.audio, row.offset_s, row.duration_s)
        before = splits.setdefault(recording, row.split) if row.audio else row.split
        assert before == row.split, f"row {row.id!r}: its recording is in splits {before!r} and {row.split!r}"
    assert "train" in {row.split for row in manifest.rows}, 'no row has the split "train"'


def check_languages(checked: CheckedComponent) -> None:
    """The rows' languages are among those of the spec."""
    actual = sorted({row.language or "none" for row in _manifest(checked).rows})
    expected = sorted(_spec(checked).languages)
    assert set(actual) <= set(expected), f"the spec says languages {expected}, the rows have {actual}"


def check_audio(checked: CheckedComponent) -> None:
    """Its recordings are audible and have the spec's rate."""
    manifest, rate_hz = _manifest(checked), _spec(checked).sample_rate_hz
    sides = [("audio", manifest.audio), ("target_audio", manifest.target_audio)]
    for column, read in sides:
        for row in [row for row in manifest.rows if getattr(row, column)][:_DECODED_ROWS]:
            audio = require_audible(read(row))
            assert audio.sample_rate_hz == rate_hz, (
                f"row {row.id!r}, {column}: {audio.sample_rate_hz} Hz, the spec says {rate_hz} Hz"
            )


def _manifest(checked: CheckedComponent) -> Manifest:
    manifest = checked.instance
    assert isinstance(manifest, Manifest), f"load returned {type(manifest).__name__}, expected a Manifest"
    return manifest


def _spec(checked: CheckedComponent) -> DatasetSpec:
    spec = checked.part.spec
    assert isinstance(spec, DatasetSpec)
    return spec
