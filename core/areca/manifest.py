"""Manifests: JSON Lines, one utterance a row, paths relative to the file; every row is checked on reading."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from areca.audio import read as read_audio
from areca.errors import InvalidArtifact, InvalidAudio, InvalidManifest, MissingDependency
from areca.files import replacing
from areca.manifest_rows import Depth, Files, parse
from areca.types import Audio

_MADE = "artifact.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One row of a manifest.

    Args:
        id: unique in the manifest.
        audio: path of the recording, relative to the manifest's folder.
        text: what it says.
        language: ISO 639-1 code, as ``"fr"``.
        speaker: who says it.
        split: ``"train"``, ``"validation"``, ``"test"`` or another name.
        source: where it comes from, as ``"human"``.
        offset_s, duration_s: the part of the recording that is meant, in seconds; None: to the end.
        target_audio, target_text, target_language: the translated side, where there is one.
        extra: anything more, open to tasks as ``extra.<name>``.
    """

    id: str
    audio: str | None = None
    text: str | None = None
    language: str | None = None
    speaker: str | None = None
    split: str = "train"
    source: str | None = None
    offset_s: float = 0.0
    duration_s: float | None = None
    target_audio: str | None = None
    target_text: str | None = None
    target_language: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Rows, and the folder that their paths start from.

    Args:
        rows: the utterances, in the order of the file.
        root: the manifest's folder; no path leads out of it.
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
    def read(cls, path: str | Path, *, skip_bad: bool = False, depth: Depth | None = None) -> Manifest:
        """Read and check a manifest.

        Args:
            path: the ``.jsonl`` file.
            skip_bad: leave bad rows out and say so in `skipped`, instead of raising at the first.
            depth: how far files are looked into: ``"decode"`` finds NaN and damage behind the header, ``"header"``
                missing, shortened and over-long files, ``"path"`` missing ones. None: ``"decode"``, and ``"path"``
                for an artifact, whose files are known by their hashes.

        Raises:
            InvalidManifest: a bad row, named by file and line, or no good one at all.
            InvalidArtifact: an artifact whose manifest was changed, or outside the store any of its files.
        """
        path = Path(path)
        if not path.is_file():
            raise InvalidManifest(f"{path}: no such manifest; expected a JSON Lines file")
        made_key = _made_key(path)
        depth = depth or ("decode" if made_key is None else "path")
        good: list[Utterance] = []
        skipped: list[str] = []
        for row in _checked(path, depth):
            if isinstance(row, Utterance):
                good.append(row)
            elif skip_bad:
                skipped.append(str(row))
            elif made_key is None:
                raise InvalidManifest(f"{row}\n  to leave bad rows out: {_leaving_out(path)}")
            else:
                raise row
        if not good:
            raise InvalidManifest("\n".join([f"{path}: no usable row", *skipped[:5]]))
        if skipped and made_key is not None:
            made_key = _hash([made_key, [row.id for row in good]])
        return cls(tuple(good), path.parent, tuple(skipped), made_key, path)

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
            raise InvalidManifest(f"{self.root}: no row with {wanted}; there are {there}")
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
            InvalidManifest: it is absolute, or leads out of the folder.
        """
        return Path(self._files.resolve(relative))

    @functools.cached_property
    def _files(self) -> Files:
        return Files(self.root)

    def _read(self, row: Utterance, column: str, offset_s: float, duration_s: float | None) -> Audio:
        relative = getattr(row, column)
        if relative is None:
            raise InvalidManifest(f"{self.root}: row {row.id!r} has no {column}")
        try:
            return read_audio(self.resolve(relative), offset_s=offset_s, duration_s=duration_s)
        except (InvalidAudio, MissingDependency) as error:
            raise type(error)(f"row {row.id!r}: {error}") from error


def write_manifest(path: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write rows as JSON Lines, leaving out what has its default; the file appears whole or not at all."""
    path = Path(path)
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        for row in utterances:
            file.write(_line(row) + "\n")


_DEFAULTS: dict[str, Any] = {f.name: {} if f.name == "extra" else f.default for f in dataclasses.fields(Utterance)}


def _line(row: Utterance) -> str:
    values = {name: getattr(row, name) for name in _DEFAULTS}
    said = {name: value for name, value in values.items() if value != _DEFAULTS[name]}
    return json.dumps(said, ensure_ascii=False, allow_nan=False)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _leaving_out(path: Path) -> str:
    good = path.with_stem(f"{path.stem}-good")
    return shlex.join(["areca", "data", str(path), "--skip-bad", "-o", str(good)])


def _made_key(path: Path) -> str | None:
    """Return the key of the artifact that `path` is part of.

    The store verifies what it hands out; a copy elsewhere is anyone's to change, so each of its files is hashed.
    """
    meta = path.parent / _MADE
    if not meta.is_file():
        return None
    from areca.options import file_hash
    from areca.store import Artifact

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


def _checked(path: Path, depth: Depth) -> Iterator[Utterance | InvalidManifest]:
    """Yield each row, or what is wrong with it, as long as the file lasts."""
    files = Files(path.parent)
    lines: dict[str, int] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            try:
                row = parse(line, Utterance)
                if row.id in lines:
                    raise InvalidManifest(f"id {row.id!r} is taken by line {lines[row.id]}")
                files.check(row, depth)
            except InvalidManifest as error:
                yield InvalidManifest(f"{path}:{number}: {error}")
            else:
                lines[row.id] = number
                yield row
