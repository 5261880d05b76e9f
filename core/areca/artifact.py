"""Artifacts: finished folders, identified by the hashes of their files and by the key of their inputs."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from areca.errors import QUOTED, ArecaWarning, InvalidArtifact, quote
from areca.files.reading import read_json
from areca.files.writing import SYNCING, remove_drafts, sync, write_json
from areca.options import file_hash, key_of

META = "artifact.json"
PARTIAL = ".partial"
WORK = "work" + PARTIAL
"""Folder of a build's state, from which an interrupted build resumes. It is not part of the artifact."""
_MOST_META = 1 << 28  # bytes of an artifact.json: enough to name two million files


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished folder, whose files are identified by their hashes.

    Args:
        directory: where the files are.
        key: the hash of `inputs`, known before the build.
        fingerprint: the hash of key and files, known after it.
        inputs: the values that the key is computed from.
        label: its name for people.
        files: sha256 of each file, by its path in `directory`.
    """

    directory: Path
    key: str
    fingerprint: str
    inputs: Mapping[str, Any]
    label: str
    files: Mapping[str, str]

    @classmethod
    def open(cls, directory: Path, *, verify: bool = True, beside: Sequence[str] = ()) -> Artifact:
        """Open an artifact; with `verify`, check the hash of every file, except in the folders `beside`.

        Raises:
            InvalidArtifact: the directory is not an artifact; its ``artifact.json`` is a link, a pipe or a device, too
                large, or damaged; a file is missing, changed or added.
        """
        try:
            meta = read_meta(directory)
        except (FileNotFoundError, NotADirectoryError):
            raise InvalidArtifact(f"{directory}: not an artifact ({META} is missing)") from None
        for name, kind in _META_TYPES.items():
            if not isinstance(meta.get(name), kind):
                raise InvalidArtifact(f"{directory / META}: expected {name!r}, a {kind.__name__}")
        files = {name: str(sha) for name, sha in meta["files"].items()}
        artifact = cls(directory, meta["key"], meta["fingerprint"], meta["inputs"], meta["label"], files)
        if artifact.fingerprint != _compute_fingerprint(artifact.key, files):
            raise InvalidArtifact(f"{directory / META}: fingerprint does not belong to its key and files")
        if verify:
            _verify(directory, files, beside)
        return artifact


def read_meta(directory: Path) -> dict[str, Any]:
    """Return the content of an artifact's ``artifact.json``, unchecked.

    Raises:
        FileNotFoundError: there is none.
        InvalidArtifact: it is not a JSON file.
    """
    return read_json(directory / META, most=_MOST_META)


_META_TYPES = {"label": str, "key": str, "fingerprint": str, "inputs": dict, "files": dict}


def _compute_fingerprint(key: str, files: Mapping[str, str]) -> str:
    return key_of({"key": key, "files": dict(files)})


def _verify(directory: Path, files: Mapping[str, str], beside: Sequence[str]) -> None:
    present = set(_list_files(directory, *beside))
    if changed := sorted(present.symmetric_difference(files)):
        names = ", ".join(name if name.isprintable() and len(name) < QUOTED else quote(name) for name in changed[:5])
        raise InvalidArtifact(f"{directory}: files added or missing: {names}")
    for name, expected in files.items():
        if (actual := file_hash(directory / name)) != expected:
            raise InvalidArtifact(
                f"{directory / name}: changed since it was made (sha256 {actual[:12]}, expected {expected[:12]})"
            )


def _list_files(directory: Path, *beside: str) -> Iterator[str]:
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory)
        if name.parts[0] in (META, *beside):
            continue
        if path.is_symlink():
            raise InvalidArtifact(f"{path}: an artifact holds no symbolic links")
        if path.is_file():
            yield name.as_posix()
        elif not path.is_dir():
            raise InvalidArtifact(f"{path}: an artifact holds files and folders, this is a pipe, socket or device")


def copy_artifact(artifact: Artifact, directory: Path) -> None:
    """Copy an artifact's folder without the times of its build, so that copies of equal artifacts are equal."""
    shutil.copytree(artifact.directory, directory)
    meta = read_meta(directory)
    write_json(directory / META, {name: value for name, value in meta.items() if name not in _TIMES})


_TIMES = ("created", "took_s")


def seal(directory: Path, key: str, inputs: Mapping[str, Any], label: str, *, took_s: float | None = None) -> Artifact:
    """Write the ``artifact.json`` of a directory whose files are complete, and return the artifact; `WORK` is left out.

    Args:
        directory: folder of the files.
        key: key of the artifact, the hash of `inputs`.
        inputs: the values that the key is computed from.
        label: its name for people.
        took_s: seconds that the last call took to build the files, without earlier calls that were interrupted.
    """
    remove_drafts(directory)  # of a build that was killed
    names = list(_list_files(directory, WORK))
    with ThreadPoolExecutor(SYNCING) as pool:
        files = dict(zip(names, pool.map(_sync_and_hash, [directory / name for name in names]), strict=True))
    fingerprint = _compute_fingerprint(key, files)
    meta = {
        "label": label,
        "key": key,
        "fingerprint": fingerprint,
        "inputs": inputs,
        "files": files,
        "bytes": sum((directory / name).stat().st_size for name in files),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "took_s": took_s,
    }
    write_json(directory / META, meta)
    return Artifact(directory, key, fingerprint, inputs, label, files)


def _sync_and_hash(path: Path) -> str:
    sync(path)
    return file_hash(path)


def is_sealed(directory: Path, key: str) -> bool:
    """Return whether a killed build of `key` had sealed its files; warn and unseal if one of them is damaged."""
    if not (directory / META).is_file():
        return False
    try:
        return Artifact.open(directory, beside=(WORK,)).key == key
    except InvalidArtifact as e:
        warnings.warn(f"{e}; it is rebuilt", ArecaWarning, stacklevel=2)
        (directory / META).unlink()
        return False
