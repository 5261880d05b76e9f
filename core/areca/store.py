"""Artifacts: whatever is made is made once, under a key known before the work, and checked when it is used again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from areca.errors import QUOTED, ArecaWarning, InvalidArtifact, StorageError, quote
from areca.faults import advice, full, storage_fault
from areca.files import SYNCING, explained, remove_drafts, sync, write_json
from areca.options import file_hash
from areca.plain import read_json

if TYPE_CHECKING:
    import filelock

META = "artifact.json"
PARTIAL = ".partial"
WORK = "work" + PARTIAL
"""Folder of a build's own for what an interrupted one goes on from: no part of the artifact."""
REMOVED = ".removed" + PARTIAL
_KEY = re.compile("[0-9a-f]{64}")
_MOST_META = 1 << 28  # bytes of an artifact.json: a corpus of two million files is named in it
_ELSEWHERE = "\n  to keep what is made elsewhere: ARECA_HOME=/a/folder/of/yours areca ..."


def key_of(recipe: Mapping[str, Any]) -> str:
    """Return the sha256 of `recipe` as canonical JSON: sorted keys, no spaces, no NaN."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished directory whose files are known by their hashes.

    Args:
        directory: where the files are.
        key: what it was to be, known before the work: the hash of `recipe`.
        fingerprint: what it became: the hash of key and files.
        recipe: what the key was made of.
        label: what a person calls it.
        files: sha256 of each file, by its name from `directory`.
    """

    directory: Path
    key: str
    fingerprint: str
    recipe: Mapping[str, Any]
    label: str
    files: Mapping[str, str]

    @classmethod
    def open(cls, directory: Path, *, verify: bool = True, beside: Sequence[str] = ()) -> Artifact:
        """Read an artifact back; with `verify` every file's hash is checked, but for the folders `beside` it.

        Raises:
            InvalidArtifact: it is not an artifact; its ``artifact.json`` is a link, a pipe or a device, too large, or
                damaged; a file is missing, changed or not its own.
        """
        try:
            meta = read_meta(directory)
        except (FileNotFoundError, NotADirectoryError):
            raise InvalidArtifact(f"{directory}: not an artifact ({META} is missing)") from None
        for name, kind in _META_TYPES.items():
            if not isinstance(meta.get(name), kind):
                raise InvalidArtifact(f"{directory / META}: expected {name!r}, a {kind.__name__}")
        files = {name: str(sha) for name, sha in meta["files"].items()}
        artifact = cls(directory, meta["key"], meta["fingerprint"], meta["recipe"], meta["label"], files)
        if artifact.fingerprint != _fingerprint(artifact.key, files):
            raise InvalidArtifact(f"{directory / META}: fingerprint does not belong to its key and files")
        if verify:
            _verify(directory, files, beside)
        return artifact


def read_meta(directory: Path) -> dict[str, Any]:
    """Return what an artifact's ``artifact.json`` holds, unchecked.

    Raises:
        FileNotFoundError: there is none.
        InvalidArtifact: it is not a file of JSON.
    """
    return read_json(directory / META, most=_MOST_META)


_META_TYPES = {"label": str, "key": str, "fingerprint": str, "recipe": dict, "files": dict}


def _fingerprint(key: str, files: Mapping[str, str]) -> str:
    return key_of({"key": key, "files": dict(files)})


def _verify(directory: Path, files: Mapping[str, str], beside: Sequence[str]) -> None:
    found = set(_files(directory, *beside))
    if changed := sorted(found.symmetric_difference(files)):
        names = ", ".join(name if name.isprintable() and len(name) < QUOTED else quote(name) for name in changed[:5])
        raise InvalidArtifact(f"{directory}: files added or missing: {names}")
    for name, expected in files.items():
        if (actual := file_hash(directory / name)) != expected:
            raise InvalidArtifact(
                f"{directory / name}: changed since it was made (sha256 {actual[:12]}, expected {expected[:12]})"
            )


def _files(directory: Path, *beside: str) -> Iterator[str]:
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
    """Copy an artifact's folder, without when and how fast it was made: copies of equal artifacts are equal."""
    shutil.copytree(artifact.directory, directory)
    meta = read_meta(directory)
    write_json(directory / META, {name: value for name, value in meta.items() if name not in _OF_THE_CLOCK})


_OF_THE_CLOCK = ("created", "took_s")


def seal(directory: Path, key: str, recipe: Mapping[str, Any], label: str, *, took_s: float | None = None) -> Artifact:
    """Write the ``artifact.json`` of a directory whose files are complete, last of all; `WORK` is left out.

    Args:
        directory: the files.
        key: of the artifact.
        recipe: what the key was made of.
        label: what a person calls it.
        took_s: seconds that the call took which made them; what interrupted calls did before it is not counted.
    """
    remove_drafts(directory)  # of a build that was killed
    names = list(_files(directory, WORK))
    with ThreadPoolExecutor(SYNCING) as pool:
        files = dict(zip(names, pool.map(_hashed_on_disk, [directory / name for name in names]), strict=True))
    fingerprint = _fingerprint(key, files)
    meta = {
        "label": label,
        "key": key,
        "fingerprint": fingerprint,
        "recipe": recipe,
        "files": files,
        "bytes": sum((directory / name).stat().st_size for name in files),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "took_s": took_s,
    }
    write_json(directory / META, meta)
    return Artifact(directory, key, fingerprint, recipe, label, files)


def _hashed_on_disk(path: Path) -> str:
    sync(path)
    return file_hash(path)


class Store:
    """A folder of artifacts, one a key."""

    def __init__(self, root: Path | None = None) -> None:
        """Use `root`; None: ``$ARECA_HOME``, or ``~/.cache/areca``."""
        self._root = root
        self._verified: dict[str, Artifact] = {}

    @cached_property
    def root(self) -> Path:
        """The folder.

        Raises:
            StorageError: nothing says where it is.
        """
        if home := os.environ.get("ARECA_HOME"):
            return self._root or Path(home)
        try:
            return self._root or Path.home() / ".cache" / "areca"
        except RuntimeError as error:
            raise StorageError(f"no home folder to keep what is made in{_ELSEWHERE}") from error

    def find(self, key: str) -> Artifact | None:
        """Return the verified artifact of `key`, or None if it was not made yet.

        Raises:
            InvalidArtifact: it is there but its files are not those that were made.
        """
        if key not in self._verified and os.path.lexists(self.root / key):
            try:
                self._verified[key] = self._open(self.root / key, verify=True)
            except InvalidArtifact as e:
                raise InvalidArtifact(f"{e}\n  to make it again, first: areca store rm {key[:12]}") from e
        return self._verified.get(key)

    def _open(self, directory: Path, *, verify: bool = False) -> Artifact:
        if directory.is_symlink():
            raise InvalidArtifact(f"{directory}: an artifact in the store is a folder, this is a symbolic link")
        artifact = Artifact.open(directory, verify=verify)
        if artifact.key != directory.name:
            raise InvalidArtifact(f"{directory}: holds the artifact of another key, {quote(artifact.key)}")
        return artifact

    def make(
        self, recipe: Mapping[str, Any], build: Callable[[Path], None], *, label: str, resume: bool = False
    ) -> Artifact:
        """Return the artifact of `recipe`, making it with ``build(directory)`` if it is not there.

        Processes that want the same artifact at once make it once. What an interrupted build left is thrown away,
        or, with `resume`, handed to the next. What it left in the folder `WORK` is removed when it is done.

        Raises:
            InvalidArtifact: it is there but its files are not those that were made.
            StorageError: the disk refuses.
        """
        key = key_of(recipe)
        if made := self.find(key):
            return made
        with self._explained():
            return self._make(key, recipe, build, label, resume)

    def _make(
        self, key: str, recipe: Mapping[str, Any], build: Callable[[Path], None], label: str, resume: bool
    ) -> Artifact:
        self.root.mkdir(parents=True, exist_ok=True)
        with self._lock(self.root / key):
            if made := self.find(key):  # another process made it while this one waited
                return made
            partial = self.root / (key + PARTIAL)
            if not _sealed(partial, key):
                if partial.exists() and not resume:
                    shutil.rmtree(partial)
                partial.mkdir(exist_ok=True)
                start_s = time.monotonic()
                build(partial)
                seal(partial, key, recipe, label, took_s=round(time.monotonic() - start_s, 3))
            self._discard(partial / WORK, key)
            partial.replace(self.root / key)
            sync(self.root)
        return self._remember(Artifact.open(self.root / key, verify=False))

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what to type where the disk of this folder refuses; errors about other files are left as they are."""
        try:
            yield
        except StorageError as error:
            if _ELSEWHERE in str(error) or str(self.root) not in str(error):
                raise
            raise StorageError(f"{error}{_ELSEWHERE}") from error
        except Exception as error:
            fault = storage_fault(error)
            if fault is None or not (str(self.root) in str(fault.filename) or (fault.filename is None and full(fault))):
                raise
            where = self.root if fault.filename is None else fault.filename
            raise StorageError(f"{where}: cannot be written ({fault.strerror}){advice(fault)}{_ELSEWHERE}") from error

    def _discard(self, work: Path, key: str) -> None:
        if work.exists():
            # Out of the artifact first: a file that is still mapped cannot be deleted everywhere (NFS, Windows). What
            # is left then is an unfinished build to `areca store gc`.
            trash = Path(tempfile.mkdtemp(prefix=f"{key}.", suffix=REMOVED, dir=self.root))
            work.replace(trash / work.name)
            shutil.rmtree(trash, ignore_errors=True)

    def _remember(self, artifact: Artifact) -> Artifact:
        self._verified[artifact.key] = artifact
        return artifact

    def directories(self) -> list[Path]:
        """Return the folders of finished artifacts, sorted by key."""
        return sorted(p for p in self.root.glob("*") if _KEY.fullmatch(p.name))

    def artifacts(self) -> list[Artifact]:
        """Return every finished artifact, sorted by label and key; files are not verified.

        Raises:
            InvalidArtifact: an ``artifact.json`` cannot be read.
        """
        found = [self._open(directory) for directory in self.directories()]
        return sorted(found, key=lambda a: (a.label, a.key))

    def unfinished(self) -> list[Path]:
        """Return what interrupted builds left."""
        return sorted(self.root.glob("*" + PARTIAL))

    def busy(self, path: Path) -> bool:
        """Return whether a process is making the artifact of that folder right now."""
        import filelock

        try:
            with self._lock(path, timeout_s=0):
                return False
        except filelock.Timeout:
            return True

    def remove(self, path: Path) -> None:
        """Remove one artifact's folder, or what an interrupted build left.

        Raises:
            InvalidArtifact: a process is making it.
        """
        import filelock

        try:
            with self._lock(path, timeout_s=0), explained(path, "removed"):
                self._remove(path)
        except filelock.Timeout:
            raise InvalidArtifact(f"{path}: a process is making it; stop that first") from None
        self._verified.pop(_key(path), None)

    def _remove(self, path: Path) -> None:
        trash = self.root / (_key(path) + REMOVED)
        if trash != path:
            if trash.exists():
                shutil.rmtree(trash)
            path.replace(trash)  # killed halfway, it must not be taken for an artifact or resumed
        if trash.is_symlink():
            trash.unlink()
        else:
            shutil.rmtree(trash)

    def _lock(self, path: Path, timeout_s: float = -1) -> filelock.BaseFileLock:
        import filelock

        return filelock.FileLock(self.root / f"{_key(path)}.lock", timeout=timeout_s)


def _sealed(directory: Path, key: str) -> bool:
    """Return whether a build was killed after its last file had been written; warn if one is damaged since."""
    if not (directory / META).is_file():
        return False
    try:
        return Artifact.open(directory, beside=(WORK,)).key == key
    except InvalidArtifact as e:
        warnings.warn(f"{e}; it is rebuilt", ArecaWarning, stacklevel=2)
        (directory / META).unlink()
        return False


def _key(path: Path) -> str:
    return path.name.partition(".")[0]
