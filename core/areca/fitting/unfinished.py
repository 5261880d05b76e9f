"""What an interrupted build resumes from: used only while its files are those that were written, by their hashes."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os.path import relpath
from pathlib import Path

from areca.errors import ArecaWarning
from areca.files.writing import create_folder, remove, remove_drafts, replace_file, write_json
from areca.options import file_hash

SEAL = "seal.json"
"""Of a state's folder, or end of the name of a file's seal: the hashes of what was written, itself written last."""
STATES = 2
"""Newest states that are kept: where the last one is damaged, training resumes from the one before."""
_STATE = re.compile(r"state-(\d+)")


def seal_of(path: Path) -> Path:
    """Return where the seal of a file is: beside it."""
    return path.with_name(f"{path.name}.{SEAL}")


def seal_files(seal: Path, files: Sequence[Path]) -> None:
    """Write the hashes of complete files to `seal`: from now on `intact` finds them so."""
    write_json(seal, {_name(seal, path): file_hash(path) for path in files})


def intact(seal: Path, files: Sequence[Path]) -> bool:
    """Return whether `files` are those that were sealed; what is not is removed, with a warning, to be rebuilt.

    Args:
        seal: what `seal_files` wrote.
        files: all that it was given.
    """
    if not seal.exists() and not any(path.exists() for path in files):
        return False
    if (wrong := _wrong(seal, files)) is None:
        return True
    warnings.warn(f"{wrong}: damaged, or not completely written; it is rebuilt", ArecaWarning, stacklevel=2)
    for path in (*files, seal):
        remove(path)
    return False


def made_once(seal: Path, files: Sequence[Path], make: Callable[[], None]) -> None:
    """Call `make`, which writes `files`, and seal them, unless an interrupted build did and they are intact.

    For files that a killed build may well leave incomplete: those that were not sealed are replaced without a warning.
    """
    if not (seal.exists() and intact(seal, files)):
        make()
        seal_files(seal, files)


def _wrong(seal: Path, files: Sequence[Path]) -> Path | None:
    """Return the first file that is not what it was, or None."""
    try:
        hashes = json.loads(seal.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return files[0] if files and not seal.exists() else seal
    if not isinstance(hashes, dict) or set(hashes) != {_name(seal, path) for path in files}:
        return seal
    for path in files:
        plain = path.is_file() and not path.is_symlink()
        if not plain or file_hash(path) != hashes[_name(seal, path)]:
            return path
    return None


def _name(seal: Path, path: Path) -> str:
    return Path(relpath(path, seal.parent)).as_posix()


@contextmanager
def sealing(path: Path, seal: Path | None = None) -> Iterator[Path]:
    """Yield a draft of a file; when the block ends, it is on the disk, gets its name, and then its seal.

    Raises:
        StorageError: the disk refuses.
    """
    with replace_file(path) as draft:
        yield draft
    seal_files(seal or seal_of(path), [path])


@contextmanager
def new_state(folder: Path, step: int) -> Iterator[Path]:
    """Yield an empty folder for a training's state after `step` steps; it appears in `folder` whole and sealed.

    The state before it stays; older ones are removed.

    Raises:
        StorageError: the disk refuses.
    """
    with create_folder(folder / f"state-{step}", replace=True) as draft:
        yield draft
        seal_files(draft / SEAL, _content(draft))
    for _, path in _states(folder)[:-STATES]:
        remove(path)


def newest_state(folder: Path) -> tuple[int, Path] | None:
    """Return step and folder of the newest intact state; those that are not are removed, with a warning.

    Only for a folder that no other process writes to.
    """
    remove_drafts(folder)
    for step, path in reversed(_states(folder)):
        if intact(path / SEAL, _content(path)):
            return step, path
        remove(path)
    return None


def _states(folder: Path) -> list[tuple[int, Path]]:
    named = [(_STATE.fullmatch(path.name), path) for path in folder.glob("state-*")]
    return sorted((int(match[1]), path) for match, path in named if match)


def _content(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir() and path != folder / SEAL)
