"""Download and unpack Debian packages of recordings: each only once, and without root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from areca.errors import MissingDependency
from areca.files.home import home_folder
from areca.options import file_hash

_TIMEOUT_S = 1800


def locate_package(package: str, archives: Path | None, *, content: Path, variable: str) -> Path:
    """Return the folder of a package's files (``usr/share/...``); download and unpack the package first if necessary.

    Downloads and unpacked packages are kept in ``recordings`` in the store's folder.

    Args:
        package: name of the Debian package, such as ``"asterisk-core-sounds-fr-g722"``.
        archives: a folder with its ``.deb``, or with the files of unpacked packages (default: the folder that the
            environment variable names; if that is not set, ``apt-get`` downloads the package).
        content: a folder of the package, from its root. A folder of archives that has it holds the unpacked package.
        variable: name of the environment variable.

    Raises:
        MissingDependency: the package is not available; the message states what to type.
    """
    if archives is None and os.environ.get(variable):
        archives = Path(os.environ[variable])
    if archives is None:
        folder = _cache() / package
        return folder if folder.is_dir() else _download(package, folder, variable)
    if (archives / content).is_dir():
        return archives
    debs = sorted(archives.glob(f"{package}_*.deb"))
    if not debs:
        raise MissingDependency(
            f"{archives}: neither {package}_*.deb nor {content} is in it; {_advice(package, variable)}"
        )
    folder = _cache() / f"{package}-{file_hash(debs[-1])[:16]}"
    if not folder.is_dir():
        with _draft_folder() as draft:
            _unpack(debs[-1], Path(draft), folder, variable)
    return folder


def _cache() -> Path:
    return home_folder() / "recordings"


def _draft_folder() -> tempfile.TemporaryDirectory[str]:
    """Create a folder on the same file system as the final one, so that the content can be renamed."""
    _cache().mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=_cache(), prefix=".unpacking-")


def _download(package: str, folder: Path, variable: str) -> Path:
    if shutil.which("apt-get") is None:
        raise MissingDependency(f"{package} is needed, and this machine has no apt-get; {_advice(package, variable)}")
    with _draft_folder() as draft:
        options = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20"]
        _run(["apt-get", "-q", *options, "download", package], Path(draft), package, variable)
        _unpack(next(Path(draft).glob("*.deb")), Path(draft), folder, variable)
    return folder


def _unpack(deb: Path, draft: Path, folder: Path, variable: str) -> None:
    if shutil.which("dpkg") is None:
        advice = _advice(deb.stem.partition("_")[0], variable)
        raise MissingDependency(f"{deb}: unpacking it needs dpkg, which this machine does not have; {advice}")
    _run(["dpkg", "-x", str(deb.resolve()), "tree"], draft, deb.name, variable)
    try:
        (draft / "tree").rename(folder)
    except OSError:
        if not folder.is_dir():  # if it exists, another process has created it with the same files
            raise


def _run(command: list[str], cwd: Path, package: str, variable: str) -> None:
    try:
        finished = subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            start_new_session=True,  # only the caller handles Ctrl-C: a stopped child would look like a failed one
        )
    except subprocess.TimeoutExpired:
        raise MissingDependency(
            f"{package}: {' '.join(command)} took over {_TIMEOUT_S} s; {_advice(package, variable)}"
        ) from None
    if finished.returncode != 0:
        message = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        raise MissingDependency(f"{package}: {' '.join(command[:1])} failed ({message}); {_advice(package, variable)}")


def _advice(package: str, variable: str) -> str:
    return (
        "on Debian or Ubuntu: sudo apt-get update; elsewhere download its .deb from https://packages.debian.org/"
        f"{package.partition('_')[0]} and give the folder as archives=DIR or {variable}=DIR"
    )
