"""An evaluation's folder: what it is of, who writes to it, and whether its results are those that were written."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from areca.errors import InvalidArtifact
from areca.files.writing import explained, fitting_name, locked, write_json
from areca.options import file_hash, key_of

IDENTITY, RESULTS, ANSWERS, HEARD = "evaluation.json", "results.jsonl", "answers.jsonl", "heard.jsonl"
LOCK = ".lock"
"""Held by the process that evaluates into a folder; stays behind, empty."""
_SHA, _RESULTS = "sha256", "results_sha256"


def file_name(row_id: str, suffix: str) -> str:
    """Return the name of the file of a manifest's row: any id makes one, and no two the same."""
    return fitting_name(quote(row_id, safe=""), suffix)


@contextlib.contextmanager
def claimed(directory: Path, identity: Mapping[str, Any], judges: Mapping[str, Any]) -> Iterator[None]:
    """Say what the folder is of, add the judges, and hold it as the only process that evaluates into it.

    Args:
        directory: the folder; made if it does not exist.
        identity: what tells its answers from those of all other evaluations.
        judges: their signatures, by label.

    Raises:
        InvalidArtifact: it holds an evaluation of something else, a damaged one, or that of an older areca.
        StorageError: another process evaluates into it, or the disk refuses.
    """
    with explained(directory):
        directory.mkdir(parents=True, exist_ok=True)
    busy = f"{directory}: another process evaluates into this folder: wait until it ends, or name another folder (-o)"
    with locked(directory / LOCK, busy):
        said = read_identity(directory) or {**identity, "judges": {}}
        if different := [name for name, value in identity.items() if said.get(name) != value]:
            raise InvalidArtifact(
                f"{directory}: holds an evaluation with another {' and '.join(different)}; name another folder (-o) or "
                "remove it"
            )
        _write(directory, said | {"judges": {**said["judges"], **judges}})
        yield


def read_identity(directory: Path) -> dict[str, Any] | None:
    """Return what a folder says that it is of; None: it holds no evaluation.

    Raises:
        InvalidArtifact: it is damaged, or of an older areca, or missing where there are answers.
    """
    path = directory / IDENTITY
    instead = "name another folder (-o), or remove this one"
    if not path.exists():
        if (directory / ANSWERS).exists():
            raise InvalidArtifact(f"{path}: missing, so that nothing says whose answers {ANSWERS} holds: {instead}")
        return None
    try:
        with explained(path, "read"):
            said = json.loads(path.read_bytes())
        whole = said.pop(_SHA) == key_of(said) and isinstance(said["judges"], dict)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise InvalidArtifact(f"{path}: damaged, or written by another version of areca: {instead}")
    assert isinstance(said, dict)
    return said


def record_results(directory: Path) -> None:
    """Note the hash of the results that were written; `check_results` compares it."""
    said = read_identity(directory)
    assert said is not None
    _write(directory, said | {_RESULTS: file_hash(directory / RESULTS)})


def check_results(directory: Path) -> None:
    """Check that results are those that were written, where the folder says which.

    Raises:
        InvalidArtifact: they are not.
    """
    said = read_identity(directory)
    if said is not None and (expected := said.get(_RESULTS)) != (found := file_hash(directory / RESULTS)):
        raise InvalidArtifact(
            f"{directory / RESULTS}: changed since it was written (sha256 {found[:12]}, expected "
            f"{str(expected)[:12]}): repeat the `areca evaluate` that made it, which answers nothing twice"
        )


def _write(directory: Path, said: Mapping[str, Any]) -> None:
    write_json(directory / IDENTITY, {**said, _SHA: key_of(said)})
