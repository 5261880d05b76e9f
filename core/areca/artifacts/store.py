"""Artifact store: each artifact is built once, under a key computed from its inputs, and verified when reused."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from areca.artifact import PARTIAL, WORK, Artifact, is_sealed, seal
from areca.errors import ArecaError, InvalidArtifact, StorageError, quote, summarise
from areca.files.faults import advise, find_os_error, is_unwritable
from areca.files.home import ELSEWHERE, home_folder
from areca.files.writing import sync, wrap_storage_errors
from areca.options import key_of
from areca.run.processes import Processes

if TYPE_CHECKING:
    import filelock

REMOVED = ".removed" + PARTIAL
_KEY = re.compile("[0-9a-f]{64}")


class Store:
    """A folder of artifacts.

    Each finished artifact is a folder named by its key; it is verified once per `Store`. A build writes into the folder
    ``<key>.partial``, which is renamed when it is complete. A lock file makes other processes wait for a build.

    Args:
        root: the folder; None: ``$ARECA_HOME``, or ``~/.cache/areca``.
        processes: the processes that train together. The first builds; the others wait for it, and must see the same
            folder. None: this process only.
    """

    def __init__(self, root: Path | None = None, processes: Processes | None = None) -> None:
        self._root = root
        self.processes = processes or Processes()
        self._verified: dict[str, Artifact] = {}

    @cached_property
    def root(self) -> Path:
        """The store's folder; it may not exist yet.

        Raises:
            StorageError: there is no home folder, and ARECA_HOME is not set.
        """
        return self._root or home_folder()

    def find(self, key: str) -> Artifact | None:
        """Return the verified artifact of `key`, or None if there is none.

        Raises:
            InvalidArtifact: the artifact's files have changed since it was built.
        """
        if key not in self._verified and os.path.lexists(self.root / key):
            try:
                self._verified[key] = self._open(self.root / key, verify=True)
            except InvalidArtifact as e:
                raise InvalidArtifact(f"{e}\n  to rebuild it, first type: areca store rm {key[:12]}") from e
        return self._verified.get(key)

    def _open(self, directory: Path, *, verify: bool = False) -> Artifact:
        if directory.is_symlink():
            raise InvalidArtifact(f"{directory}: an artifact in the store is a folder, this is a symbolic link")
        artifact = Artifact.open(directory, verify=verify)
        if artifact.key != directory.name:
            raise InvalidArtifact(f"{directory}: holds the artifact of another key, {quote(artifact.key)}")
        return artifact

    def make(
        self,
        inputs: Mapping[str, Any],
        build: Callable[[Path], None],
        *,
        label: str,
        resume: bool = False,
        together: bool = False,
    ) -> Artifact:
        """Return the artifact of `inputs`; if it is missing, build it with ``build(directory)``.

        Processes that need the same artifact at the same time build it once. The folder `WORK` is removed after the
        build. All processes that train together must ask for it.

        Args:
            inputs: values that determine the artifact; JSON can express them. Their hash is the key.
            build: writes the files into the given folder, which exists.
            label: name for people, such as ``"tokenizer usm-v2"``.
            resume: whether the folder still holds the files of an interrupted build; False: they are deleted.
            together: whether `build` is called in every process that trains, and not only in the first.

        Raises:
            ArecaError: the first process failed to build it.
            InvalidArtifact: the artifact's files have changed since it was built.
            StorageError: the disk refuses.
        """
        key = key_of(inputs)
        if not self.processes.is_first:
            return self._follow(key, build, label)
        try:
            artifact = self.find(key)
            if artifact is None:
                with self._advise_on_storage_errors():
                    artifact = self._make(key, inputs, build, label, resume, together)
        except BaseException as error:
            self.processes.post(f"{key} failed", summarise(error))
            raise
        self.processes.post(f"{key} made")
        return artifact

    def _follow(self, key: str, build: Callable[[Path], None], label: str) -> Artifact:
        """Return the artifact once the first process has made it, with the help of this one if it asks for it."""
        names = f"{key} made", f"{key} failed"
        state, reason = self.processes.wait(*names, f"{key} begun")
        if state == f"{key} begun":
            build(self.root / (key + PARTIAL))
            state, reason = self.processes.wait(*names)
        if state == f"{key} failed":
            raise ArecaError(f"process {self.processes.rank} stops, because process 0 could not make {label}: {reason}")
        if artifact := self.find(key):
            return artifact
        raise InvalidArtifact(
            f"{self.root / key}: process 0 has made {label}, but process {self.processes.rank} does not see it; set "
            "ARECA_HOME to a folder that all machines share"
        )

    def _make(
        self,
        key: str,
        inputs: Mapping[str, Any],
        build: Callable[[Path], None],
        label: str,
        resume: bool,
        together: bool,
    ) -> Artifact:
        self.root.mkdir(parents=True, exist_ok=True)
        with self._lock(self.root / key):
            if artifact := self.find(key):  # another process built it while this one waited
                return artifact
            # Build, unless an earlier process was killed after it had sealed the files.
            partial = self.root / (key + PARTIAL)
            if not is_sealed(partial, key):
                if partial.exists() and not resume:
                    shutil.rmtree(partial)
                partial.mkdir(exist_ok=True)
                if together:
                    self.processes.post(f"{key} begun")
                start_s = time.monotonic()
                build(partial)
                seal(partial, key, inputs, label, took_s=round(time.monotonic() - start_s, 3))
            # Remove the state of the build, and give the folder its final name.
            self._discard(partial / WORK, key)
            partial.replace(self.root / key)
            sync(self.root)
        return self._remember(Artifact.open(self.root / key, verify=False))

    @contextlib.contextmanager
    def _advise_on_storage_errors(self) -> Iterator[None]:
        """Add advice to an error about the store's folder or its disk; errors about other files are unchanged."""
        try:
            yield
        except StorageError as error:
            if ELSEWHERE in str(error) or str(self.root) not in str(error):
                raise
            raise StorageError(f"{error}{ELSEWHERE}") from error
        except Exception as error:
            fault = find_os_error(error)
            if fault is None or not (
                str(self.root) in str(fault.filename) or (fault.filename is None and is_unwritable(fault))
            ):
                raise
            path = self.root if fault.filename is None else fault.filename
            raise StorageError(f"{path}: cannot be written ({fault.strerror}){advise(fault)}{ELSEWHERE}") from error

    def _discard(self, work: Path, key: str) -> None:
        if work.exists():
            # Move it out of the artifact first: some systems (NFS, Windows) cannot delete a file that is still mapped.
            # What remains is an unfinished build for `areca store gc`.
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
        artifacts = [self._open(directory) for directory in self.directories()]
        return sorted(artifacts, key=lambda a: (a.label, a.key))

    def unfinished(self) -> list[Path]:
        """Return the folders of interrupted builds."""
        return sorted(self.root.glob("*" + PARTIAL))

    def busy(self, path: Path) -> bool:
        """Return whether a process is building the artifact of that folder now."""
        import filelock

        try:
            with self._lock(path, timeout_s=0):
                return False
        except filelock.Timeout:
            return True

    def remove(self, path: Path) -> None:
        """Remove the folder of an artifact or of an interrupted build.

        Raises:
            InvalidArtifact: a process is building it.
        """
        import filelock

        try:
            with self._lock(path, timeout_s=0), wrap_storage_errors(path, "removed"):
                self._remove(path)
        except filelock.Timeout:
            raise InvalidArtifact(f"{path}: a process is building it; stop that process first") from None
        self._verified.pop(_key_of(path), None)

    def _remove(self, path: Path) -> None:
        trash = self.root / (_key_of(path) + REMOVED)
        if trash != path:
            if trash.exists():
                shutil.rmtree(trash)
            path.replace(trash)  # if this is killed halfway, the rest must not look like an artifact or a build
        if trash.is_symlink():
            trash.unlink()
        else:
            shutil.rmtree(trash)

    def _lock(self, path: Path, timeout_s: float = -1) -> filelock.BaseFileLock:
        import filelock

        return filelock.FileLock(self.root / f"{_key_of(path)}.lock", timeout=timeout_s)


def _key_of(path: Path) -> str:
    return path.name.partition(".")[0]
