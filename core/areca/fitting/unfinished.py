"""Seal the files of an unfinished build with their hashes, so that a resumed build uses only intact files."""

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
"""Name of the seal in a state's folder, and suffix of a single file's seal. A seal holds hashes and is written last."""
STATES = 2
"""Number of newest states to keep: if the last one is damaged, training resumes from the one before."""
_STATE = re.compile(r"state-(\d+)")


def seal_path(path: Path) -> Path:
    """Return the path of a file's seal, in the same folder."""
    return path.with_name(f"{path.name}.{SEAL}")


def seal_files(seal: Path, files: Sequence[Path]) -> None:
    """Write the hashes of complete files to `seal`, for `is_intact` to check."""
    write_json(seal, {_relative_name(seal, path): file_hash(path) for path in files})


def is_intact(seal: Path, files: Sequence[Path]) -> bool:
    """Return whether `files` match their seal. If they do not, warn and remove them, so that they are rebuilt.

    Args:
        seal: a file that `seal_files` wrote.
        files: all files that `seal_files` was given.
    """
    if not seal.exists() and not any(path.exists() for path in files):
        return False
    if (damaged := _first_damaged(seal, files)) is None:
        return True
    warnings.warn(f"{damaged}: damaged, or not completely written; it is rebuilt", ArecaWarning, stacklevel=2)
    for path in (*files, seal):
        remove(path)
    return False


def build_once(seal: Path, files: Sequence[Path], make: Callable[[], None]) -> None:
    """Call `make`, which writes `files`, and seal them; skip this if an interrupted build left them sealed and intact.

    Use it for files that a killed build is likely to leave incomplete: unsealed files are replaced without a warning.

    Args:
        seal: where the hashes go.
        files: all files that `make` writes.
        make: writes the files.

    Example:
        ``build_once(job.work / f"batch-0.{SEAL}", paths, lambda: write_recordings(paths))``
    """
    if not (seal.exists() and is_intact(seal, files)):
        make()
        seal_files(seal, files)


def _first_damaged(seal: Path, files: Sequence[Path]) -> Path | None:
    """Return the first file that does not match the seal, the seal itself if it is unusable, or None."""
    try:
        hashes = json.loads(seal.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return files[0] if files and not seal.exists() else seal
    if not isinstance(hashes, dict) or set(hashes) != {_relative_name(seal, path) for path in files}:
        return seal
    for path in files:
        is_regular = path.is_file() and not path.is_symlink()
        if not is_regular or file_hash(path) != hashes[_relative_name(seal, path)]:
            return path
    return None


def _relative_name(seal: Path, path: Path) -> str:
    return Path(relpath(path, seal.parent)).as_posix()


@contextmanager
def sealing(path: Path, seal: Path | None = None) -> Iterator[Path]:
    """Yield a draft path. When the block ends, the draft is flushed to disk, renamed to `path` and sealed.

    Args:
        path: the final path.
        seal: where the hash goes (default: `seal_path` of `path`).

    Raises:
        StorageError: the disk refuses to write.

    Example::

        with sealing(job.work / "table.npy") as draft:
            np.save(draft, table)
    """
    with replace_file(path) as draft:
        yield draft
    seal_files(seal or seal_path(path), [path])


@contextmanager
def creating_state(folder: Path, step: int) -> Iterator[Path]:
    """Yield an empty folder for a training's state after `step` steps. When the block ends, it is sealed and renamed.

    The previous state is kept; older ones are removed.

    Args:
        folder: holds the states.
        step: number of finished steps.

    Raises:
        StorageError: the disk refuses to write.

    Example::

        with creating_state(job.work, step) as draft:
            save_tensors(draft / "state.safetensors", tensors)
    """
    with create_folder(folder / f"state-{step}", replace=True) as draft:
        yield draft
        seal_files(draft / SEAL, _state_files(draft))
    for _, path in _sorted_states(folder)[:-STATES]:
        remove(path)


def newest_state(folder: Path) -> tuple[int, Path] | None:
    """Return the step and folder of the newest intact state, or None; remove damaged newer ones with a warning.

    No other process may write to `folder` at the same time.
    """
    remove_drafts(folder)
    for step, path in reversed(_sorted_states(folder)):
        if is_intact(path / SEAL, _state_files(path)):
            return step, path
        remove(path)
    return None


def _sorted_states(folder: Path) -> list[tuple[int, Path]]:
    matches = [(_STATE.fullmatch(path.name), path) for path in folder.glob("state-*")]
    return sorted((int(match[1]), path) for match, path in matches if match)


def _state_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir() and path != folder / SEAL)
