"""The folder of an evaluation: its identity, its lock, and the hash of its results."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from areca.errors import InvalidArtifact
from areca.files.names import shorten_file_name
from areca.files.writing import hold_lock, wrap_storage_errors, write_json
from areca.options import file_hash, key_of

IDENTITY, RESULTS = "evaluation.json", "results.jsonl"
ANSWERS, HEARD, COUNTED = "answers.jsonl", "heard.jsonl", "counted.jsonl"
LOCK = ".lock"
"""Lock file of the process that evaluates into a folder; the empty file remains."""
_SHA, _RESULTS = "sha256", "results_sha256"


def file_name(row_id: str, suffix: str) -> str:
    """Return a unique, valid file name for the id of a manifest row."""
    return shorten_file_name(quote(row_id, safe=""), suffix)


@contextlib.contextmanager
def claim_folder(directory: Path, identity: Mapping[str, Any], judges: Mapping[str, Any]) -> Iterator[None]:
    """Lock a folder for one evaluation during the block, and write its identity and judges.

    Args:
        directory: the folder; created if it does not exist.
        identity: the inputs that determine the answers, by name.
        judges: signature of each judge, by label; added to those in the folder.

    Raises:
        InvalidArtifact: the folder contains an evaluation with another identity, a damaged one, or one of another
            version of areca.
        StorageError: another process evaluates into the folder, or the folder cannot be written.
    """
    with wrap_storage_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    busy = f"{directory}: another process evaluates into this folder: wait until it ends, or name another folder (-o)"
    with hold_lock(directory / LOCK, busy):
        stored = read_identity(directory) or {**identity, "judges": {}}
        if different := [name for name, value in identity.items() if stored.get(name) != value]:
            raise InvalidArtifact(
                f"{directory}: contains an evaluation with another {' and '.join(different)}; name another folder (-o) "
                "or remove it"
            )
        _write_identity(directory, stored | {"judges": {**stored["judges"], **judges}})
        yield


def read_identity(directory: Path) -> dict[str, Any] | None:
    """Read the identity of the evaluation in a folder; None if the folder contains no evaluation.

    Raises:
        InvalidArtifact: the identity is damaged, was written by another version of areca, or is missing although there
            are answers.
    """
    path = directory / IDENTITY
    advice = "name another folder (-o), or remove this one"
    if not path.exists():
        if (directory / ANSWERS).exists():
            raise InvalidArtifact(f"{path}: no such file, so the source of {ANSWERS} is unknown: {advice}")
        return None
    try:
        with wrap_storage_errors(path, "read"):
            stored = json.loads(path.read_bytes())
        valid = stored.pop(_SHA) == key_of(stored) and isinstance(stored["judges"], dict)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        valid = False
    if not valid:
        raise InvalidArtifact(f"{path}: damaged, or written by another version of areca: {advice}")
    assert isinstance(stored, dict)
    return stored


def record_results(directory: Path) -> None:
    """Store the hash of the results for `check_results`."""
    stored = read_identity(directory)
    assert stored is not None
    _write_identity(directory, stored | {_RESULTS: file_hash(directory / RESULTS)})


def check_results(directory: Path) -> None:
    """Check that the results have not changed since they were written, if the folder stores their hash.

    Raises:
        InvalidArtifact: the results have changed.
    """
    stored = read_identity(directory)
    if stored is not None and (expected := stored.get(_RESULTS)) != (found := file_hash(directory / RESULTS)):
        raise InvalidArtifact(
            f"{directory / RESULTS}: changed since it was written (sha256 {found[:12]}, expected "
            f"{str(expected)[:12]}): repeat the `areca evaluate` command that wrote it; existing answers are reused"
        )


def _write_identity(directory: Path, identity: Mapping[str, Any]) -> None:
    write_json(directory / IDENTITY, {**identity, _SHA: key_of(identity)})
