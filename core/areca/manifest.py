"""Manifests: JSON Lines, one utterance a row. Every row is checked on reading."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from areca.artifact import META, Artifact
from areca.audio import read as read_audio
from areca.errors import InvalidArtifact, InvalidAudio, InvalidManifest, MissingDependency, quote
from areca.files.writing import replace_file
from areca.options import file_hash
from areca.rows.checks import Depth, Files
from areca.rows.columns import Utterance, parse_row
from areca.rows.foreign import require_manifest
from areca.rows.lines import read_lines, strip_suffixes
from areca.rows.protocol import Column, Manifest, filter_rows, hash_json, selected_key
from areca.types import Audio

__all__ = [
    "Column", "FileManifest", "Manifest", "Utterance", "good_rows_path", "read_manifest", "read_rows", "filter_rows",
    "selected_key", "write_manifest",
]  # fmt: skip
_EXAMINED = 20
"""If this many rows in succession are bad, the error does not suggest to leave bad rows out."""


@dataclass(frozen=True)
class FileManifest:
    """A `Manifest` whose recordings are files, in one folder or at absolute paths.

    Args:
        rows: the utterances, in the order of the file.
        root: where relative paths start. They do not lead out of it.
        skipped: messages about rows that were left out (``skip_bad``).
        artifact_key: key of the artifact that the manifest belongs to, or of a selection from it; None: it belongs to
            no artifact, and `key` follows from the rows and the content of their files.
        path: the file that the rows were read from; None: they were not read from a file.
        notes: what ``areca data`` prints about the data, one line each.
    """

    rows: tuple[Utterance, ...]
    root: Path
    skipped: tuple[str, ...] = ()
    artifact_key: str | None = None
    path: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file that the rows were read from, or the folder of the recordings."""
        return str(self.path or self.root)

    @functools.cached_property
    def key(self) -> str:
        """Key of the artifact; without one, the sha256 of the rows and of the content of their files."""
        if self.artifact_key is not None:
            return self.artifact_key
        digest = hashlib.sha256()
        for row in self.rows:
            digest.update(_line(row).encode() + b"\n")
        for relative in sorted({path for row in self.rows for path in (row.audio, row.target_audio) if path}):
            with self.resolve(relative).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def select(self, split: str | None = None, source: str | None = None, language: str | None = None) -> FileManifest:
        """Return the rows of a split, a source and a language (None: any), with their own key.

        Raises:
            InvalidManifest: there is no such row.
        """
        rows = filter_rows(self, split, source, language)
        key = None if self.artifact_key is None else selected_key(self.artifact_key, split, source, language)
        return dataclasses.replace(self, rows=rows, artifact_key=key)

    def audio(self, row: Utterance) -> Audio:
        """Decode the row's recording, from `offset_s` on for `duration_s`, at the file's sampling rate.

        Raises:
            InvalidManifest: the row has no recording, or its path leads out of the folder.
            InvalidAudio: the file cannot be decoded.
            MissingDependency: PyAV is needed and not installed.
        """
        return self._read(row, "audio", row.offset_s, row.duration_s)

    def target_audio(self, row: Utterance) -> Audio:
        """Decode the recording of the row's translated side; errors as for `audio`."""
        return self._read(row, "target_audio", 0.0, None)

    def resolve(self, relative: str) -> Path:
        """Return the path of one of the manifest's files.

        Raises:
            InvalidManifest: it leads out of the folder, or is absolute in an artifact.
        """
        return Path(self._files.resolve(relative))

    @functools.cached_property
    def _files(self) -> Files:
        return Files(self.root, allow_absolute=self.artifact_key is None)

    def _read(self, row: Utterance, column: Column, offset_s: float, duration_s: float | None) -> Audio:
        relative = getattr(row, column)
        if relative is None:
            raise InvalidManifest(f"{self.name}: row {quote(row.id)} has no {column}")
        try:
            return read_audio(self.resolve(relative), offset_s=offset_s, duration_s=duration_s)
        except (InvalidAudio, MissingDependency) as error:
            raise type(error)(f"row {quote(row.id)}: {error}") from error


def read_manifest(
    path: str | Path, *, skip_bad: bool = False, depth: Depth | None = None, root: Path | None = None
) -> FileManifest:
    """Read and check a manifest.

    Args:
        path: the ``.jsonl`` file, which gzip may have compressed.
        skip_bad: whether to leave bad rows out and list them in `skipped`; False: the first one is an error.
        depth: how thoroughly files are checked: ``"decode"`` finds NaN and damage behind the header, ``"header"``
            missing, truncated and overlong files, ``"path"`` only missing ones. None: ``"decode"``, or ``"path"`` in
            an artifact, whose files are known by their hashes.
        root: where relative paths start; None: the manifest's folder.

    Raises:
        InvalidManifest: the file is not a manifest (the message says how to convert it); a row is bad (the message
            names file and line); no row is good; or `root` is given for an artifact.
        InvalidArtifact: the manifest of an artifact was changed, or, outside the store, any of the artifact's files.
    """
    path = Path(path)
    require_manifest(path)
    key = _artifact_key(path)
    if root is not None and key is not None:
        raise InvalidManifest(f"{path}: belongs to an artifact, whose files are in its folder: leave out `root:`")
    files = Files(root or path.parent, allow_absolute=key is None)
    good: list[Utterance] = []
    skipped: list[str] = []
    for row in (rows := _check_rows(path, files, depth or ("decode" if key is None else "path"))):
        if isinstance(row, Utterance):
            good.append(row)
        elif skip_bad:
            skipped.append(str(row))
        elif key is None:
            raise InvalidManifest(f"{row}\n  {_advise_on_bad_row(path, root, itertools.chain(good[:1], rows))}")
        else:
            raise row
    if not good:
        raise InvalidManifest("\n".join([f"{path}: no usable row", *skipped[:5]]))
    if skipped and key is not None:
        key = hash_json([key, [row.id for row in good]])
    return FileManifest(tuple(good), root or path.parent, tuple(skipped), key, path)


def read_rows(path: str | Path) -> tuple[Utterance, ...]:
    """Read the rows of a manifest without opening their recordings, for datasets that keep audio elsewhere.

    Raises:
        InvalidManifest: the file is not a manifest, or a row is bad; the message names file and line.
    """
    path = Path(path)
    require_manifest(path)
    rows = []
    for row in _check_rows(path, None, "path"):
        if not isinstance(row, Utterance):
            raise row
        rows.append(row)
    return tuple(rows)


def write_manifest(path: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write rows as JSON Lines, without the columns that have their defaults. The file is replaced atomically."""
    path = Path(path)
    with replace_file(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        for row in utterances:
            file.write(_line(row) + "\n")


_DEFAULTS: dict[str, Any] = {f.name: {} if f.name == "extra" else f.default for f in dataclasses.fields(Utterance)}


def _line(row: Utterance) -> str:
    values = {name: getattr(row, name) for name in _DEFAULTS}
    given = {name: value for name, value in values.items() if value != _DEFAULTS[name]}
    return json.dumps(given, ensure_ascii=False, allow_nan=False)


def good_rows_path(path: Path) -> Path:
    """Return the default file for the good rows of the manifest `path`: beside it, uncompressed."""
    return path.with_name(f"{strip_suffixes(path)}-good.jsonl")


def _advise_on_bad_row(path: Path, root: Path | None, rows: Iterable[Utterance | InvalidManifest]) -> str:
    """Return advice about a bad row, given the rows after it and, if there is one, a good row before it."""
    examined = list(itertools.islice(rows, _EXAMINED - 1))
    if any(isinstance(row, Utterance) for row in examined):
        options = [] if root is None else [f"root={root}"]
        command = shlex.join(["areca", "data", str(path), *options, "--skip-bad", "-o", str(good_rows_path(path))])
        return f"to leave bad rows out: {command}"
    bad = len(examined) + 1
    subject = (
        "its only row is" if bad == 1 else f"its first {bad} rows are" if bad == _EXAMINED else f"all {bad} rows are"
    )
    return f"{subject} bad: correct how the file is written; leaving bad rows out would leave nothing"


def _artifact_key(path: Path) -> str | None:
    """Return the key of the artifact that `path` belongs to.

    The store verifies what it returns. A copy elsewhere can be changed by anyone, so each of its files is hashed.
    """
    meta = path.parent / META
    if not meta.is_file():
        return None
    artifact = Artifact.open(path.parent, verify=False)
    hashes = artifact.files
    adopt = f"to use the folder as your own data: remove {meta}"
    if path.name not in hashes:
        raise InvalidArtifact(f"{path}: does not belong to the artifact in {path.parent}\n  {adopt}")
    in_store = path.parent.resolve().name == artifact.key
    rebuild = f"areca store rm {artifact.key[:12]}" if in_store else "areca data NAME ... -o ANOTHER_FOLDER"
    for name in [path.name] if in_store else hashes:
        file = path.parent / name
        actual = file_hash(file) if file.is_file() else None
        if actual != hashes[name]:
            change = "changed" if actual else "removed"
            raise InvalidArtifact(f"{file}: {change} since it was made\n  to rebuild it: {rebuild}\n  {adopt}")
    return artifact.key


def _check_rows(path: Path, files: Files | None, depth: Depth) -> Iterator[Utterance | InvalidManifest]:
    """Yield each row, or the error in it. If `files` is None, recordings are not checked."""
    numbers: dict[str, int] = {}
    for number, line in read_lines(path):
        try:
            row = parse_row(line)
            if row.id in numbers:
                raise InvalidManifest(f"id {quote(row.id)} is taken by line {numbers[row.id]}")
            if files is not None:
                files.check(row, depth)
        except InvalidManifest as error:
            yield InvalidManifest(f"{path}:{number}: {error}")
        else:
            numbers[row.id] = number
            yield row
