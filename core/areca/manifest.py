"""Manifests: JSON Lines, one utterance a row; every row is checked on reading."""

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
from areca.errors import InvalidArtifact, InvalidAudio, InvalidManifest, MissingDependency, quote, shorten
from areca.files.writing import replace_file
from areca.options import file_hash
from areca.rows.checks import Depth, Files
from areca.rows.columns import Utterance, parse
from areca.rows.foreign import require_manifest
from areca.rows.lines import lines_of, plain_name
from areca.types import Audio

__all__ = ["Manifest", "Utterance", "good_rows_path", "write_manifest"]
_LOOKED_AT = 20
"""Bad rows in a row that are looked at before leaving bad rows out is no advice any more."""


@dataclass(frozen=True)
class Manifest:
    """Rows, and the folder that their paths start from.

    Args:
        rows: the utterances, in the order of the file.
        root: where relative paths start from, and what they do not lead out of: the manifest's folder, or another that
            was named.
        skipped: messages about rows that were left out (``skip_bad``).
        made_key: key of the artifact that the manifest is part of, and of what was selected from it; None where it
            is no artifact: `key` then follows from the rows and the files.
        path: the file that the rows were read from; None where they were not read.
    """

    rows: tuple[Utterance, ...]
    root: Path
    skipped: tuple[str, ...] = ()
    made_key: str | None = None
    path: Path | None = None

    @classmethod
    def read(
        cls, path: str | Path, *, skip_bad: bool = False, depth: Depth | None = None, root: Path | None = None
    ) -> Manifest:
        """Read and check a manifest.

        Args:
            path: the ``.jsonl`` file, or one compressed by gzip.
            skip_bad: leave bad rows out and say so in `skipped`, instead of raising at the first.
            depth: how far files are looked into: ``"decode"`` finds NaN and damage behind the header, ``"header"``
                missing, shortened and over-long files, ``"path"`` missing ones. None: ``"decode"``, and ``"path"``
                for an artifact, whose files are known by their hashes.
            root: where relative paths start from; None: the manifest's folder.

        Raises:
            InvalidManifest: something else than a manifest, and how to make one of it; a bad row, named by file and
                line; no good one at all; a `root` for an artifact.
            InvalidArtifact: an artifact whose manifest was changed, or outside the store any of its files.
        """
        path = Path(path)
        require_manifest(path)
        made_key = _made_key(path)
        if root is not None and made_key is not None:
            raise InvalidManifest(f"{path}: is part of an artifact, whose files are in its folder: leave out `root:`")
        depth = depth or ("decode" if made_key is None else "path")
        files = Files(root or path.parent, own=made_key is None)
        good: list[Utterance] = []
        skipped: list[str] = []
        for row in (rows := _checked(path, files, depth)):
            if isinstance(row, Utterance):
                good.append(row)
            elif skip_bad:
                skipped.append(str(row))
            elif made_key is None:
                raise InvalidManifest(f"{row}\n  {_way_out(path, root, itertools.chain(good[:1], rows))}")
            else:
                raise row
        if not good:
            raise InvalidManifest("\n".join([f"{path}: no usable row", *skipped[:5]]))
        if skipped and made_key is not None:
            made_key = _hash([made_key, [row.id for row in good]])
        return cls(tuple(good), root or path.parent, tuple(skipped), made_key, path)

    @functools.cached_property
    def key(self) -> str:
        """What identifies the data: sha256 of the rows and of the content of their files, or of the artifact."""
        if self.made_key is not None:
            return self.made_key
        digest = hashlib.sha256()
        for row in self.rows:
            digest.update(_line(row).encode() + b"\n")
        for relative in sorted({path for row in self.rows for path in (row.audio, row.target_audio) if path}):
            with self.resolve(relative).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def select(self, split: str | None = None, source: str | None = None, language: str | None = None) -> Manifest:
        """Return the rows of a split, a source and a language (None: any), with a key of their own.

        Raises:
            InvalidManifest: there is no such row.
        """
        wanted = {k: v for k, v in (("split", split), ("source", source), ("language", language)) if v is not None}
        chosen = tuple(row for row in self.rows if all(getattr(row, k) == v for k, v in wanted.items()))
        if not chosen:
            there = {k: sorted({str(getattr(row, k)) for row in self.rows}) for k in wanted}
            raise InvalidManifest(f"{self.root}: no row with {shorten(wanted)}; there are {shorten(there)}")
        made_key = None if self.made_key is None else _hash([self.made_key, wanted])
        return dataclasses.replace(self, rows=chosen, made_key=made_key)

    def audio(self, row: Utterance) -> Audio:
        """Decode the row's recording, or the part of it that the row means; its rate is the file's.

        Raises:
            InvalidManifest: the row has none, or its path leads out of the folder.
            InvalidAudio: the file cannot be decoded.
            MissingDependency: PyAV is needed and not installed.
        """
        return self._read(row, "audio", row.offset_s, row.duration_s)

    def target_audio(self, row: Utterance) -> Audio:
        """Decode the recording of the row's translated side; errors as of `audio`."""
        return self._read(row, "target_audio", 0.0, None)

    def resolve(self, relative: str) -> Path:
        """Return the path of one of the manifest's files.

        Raises:
            InvalidManifest: it leads out of the folder, or is absolute in an artifact.
        """
        return Path(self._files.resolve(relative))

    @functools.cached_property
    def _files(self) -> Files:
        return Files(self.root, own=self.made_key is None)

    def _read(self, row: Utterance, column: str, offset_s: float, duration_s: float | None) -> Audio:
        relative = getattr(row, column)
        if relative is None:
            raise InvalidManifest(f"{self.root}: row {quote(row.id)} has no {column}")
        try:
            return read_audio(self.resolve(relative), offset_s=offset_s, duration_s=duration_s)
        except (InvalidAudio, MissingDependency) as error:
            raise type(error)(f"row {quote(row.id)}: {error}") from error


def write_manifest(path: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write rows as JSON Lines, leaving out what has its default; the file appears whole or not at all."""
    path = Path(path)
    with replace_file(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        for row in utterances:
            file.write(_line(row) + "\n")


_DEFAULTS: dict[str, Any] = {f.name: {} if f.name == "extra" else f.default for f in dataclasses.fields(Utterance)}


def _line(row: Utterance) -> str:
    values = {name: getattr(row, name) for name in _DEFAULTS}
    said = {name: value for name, value in values.items() if value != _DEFAULTS[name]}
    return json.dumps(said, ensure_ascii=False, allow_nan=False)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def good_rows_path(path: Path) -> Path:
    """Return where the good rows of the manifest `path` go unless another file is named: beside it, uncompressed."""
    return path.with_name(f"{plain_name(path)}-good.jsonl")


def _way_out(path: Path, root: Path | None, rows: Iterable[Utterance | InvalidManifest]) -> str:
    """Say what to do about a bad row, given those behind it (and a good one before it)."""
    looked_at = list(itertools.islice(rows, _LOOKED_AT - 1))
    if any(isinstance(row, Utterance) for row in looked_at):
        where = [] if root is None else [f"root={root}"]
        line = shlex.join(["areca", "data", str(path), *where, "--skip-bad", "-o", str(good_rows_path(path))])
        return f"to leave bad rows out: {line}"
    bad = len(looked_at) + 1
    rows_are = (
        "its only row is" if bad == 1 else f"its first {bad} rows are" if bad == _LOOKED_AT else f"all {bad} rows are"
    )
    return f"{rows_are} bad: mend how the file is written; leaving bad rows out would leave nothing"


def _made_key(path: Path) -> str | None:
    """Return the key of the artifact that `path` is part of.

    The store verifies what it hands out; a copy elsewhere is anyone's to change, so each of its files is hashed.
    """
    meta = path.parent / META
    if not meta.is_file():
        return None
    artifact = Artifact.open(path.parent, verify=False)
    hashes = artifact.files
    own = f"to use what is there as data of your own: remove {meta}"
    if path.name not in hashes:
        raise InvalidArtifact(f"{path}: is no part of the artifact that {path.parent} is\n  {own}")
    in_store = path.parent.resolve().name == artifact.key
    again = f"areca store rm {artifact.key[:12]}" if in_store else "areca data NAME ... -o ANOTHER_FOLDER"
    for name in [path.name] if in_store else hashes:
        file = path.parent / name
        found = file_hash(file) if file.is_file() else None
        if found != hashes[name]:
            happened = "changed" if found else "removed"
            raise InvalidArtifact(f"{file}: {happened} since it was made\n  to make it again: {again}\n  {own}")
    return artifact.key


def _checked(path: Path, files: Files, depth: Depth) -> Iterator[Utterance | InvalidManifest]:
    """Yield each row, or what is wrong with it, as long as the file lasts."""
    numbers: dict[str, int] = {}
    for number, line in lines_of(path):
        try:
            row = parse(line)
            if row.id in numbers:
                raise InvalidManifest(f"id {quote(row.id)} is taken by line {numbers[row.id]}")
            files.check(row, depth)
        except InvalidManifest as error:
            yield InvalidManifest(f"{path}:{number}: {error}")
        else:
            numbers[row.id] = number
            yield row
