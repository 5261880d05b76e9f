"""Download and unpack Debian packages of recordings, without root, each once."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from areca.artifacts.store import Store
from areca.errors import MissingDependency
from areca.options import file_hash

ARCHIVES = "ARECA_ASTERISK_ARCHIVES"
"""Environment variable: the folder of the packages, unless an option names one."""
SOUNDS = Path("usr/share/asterisk/sounds")
_TIMEOUT_S = 300


def unpacked(package: str, archives: Path | None) -> Path:
    """Return the folder of a package's files (``usr/share/...``); unpack the package first if necessary.

    Args:
        package: name of the Debian package, such as ``"asterisk-core-sounds-fr-g722"``.
        archives: a folder with its ``.deb``, or with the files of packages that are already unpacked; None:
            ``$ARECA_ASTERISK_ARCHIVES``, or if that is not set, ``apt-get`` downloads the package without root.

    Raises:
        MissingDependency: it cannot be had; the message says what to type.
    """
    if archives is None and os.environ.get(ARCHIVES):
        archives = Path(os.environ[ARCHIVES])
    if archives is None:
        folder = _cache() / package
        return folder if folder.is_dir() else _download(package, folder)
    if (archives / SOUNDS).is_dir():
        return archives
    debs = sorted(archives.glob(f"{package}_*.deb"))
    if not debs:
        raise MissingDependency(f"{archives}: neither {package}_*.deb nor {SOUNDS} is in it; {_advice(package)}")
    folder = _cache() / f"{package}-{file_hash(debs[-1])[:16]}"
    if not folder.is_dir():
        with _workplace() as workplace:
            _unpack(debs[-1], Path(workplace), folder)
    return folder


def _cache() -> Path:
    return Store().root / "recordings"


def _workplace() -> tempfile.TemporaryDirectory[str]:
    _cache().mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=_cache(), prefix=".unpacking-")  # beside its goal, for the rename


def _download(package: str, folder: Path) -> Path:
    if shutil.which("apt-get") is None:
        raise MissingDependency(f"{package} is needed, and there is no apt-get here; {_advice(package)}")
    with _workplace() as workplace:
        options = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20"]
        _run(["apt-get", "-q", *options, "download", package], Path(workplace), package)
        _unpack(next(Path(workplace).glob("*.deb")), Path(workplace), folder)
    return folder


def _unpack(deb: Path, workplace: Path, folder: Path) -> None:
    if shutil.which("dpkg") is None:
        raise MissingDependency(f"{deb}: there is no dpkg here to unpack it; {_advice(deb.stem.partition('_')[0])}")
    _run(["dpkg", "-x", str(deb.resolve()), "tree"], workplace, deb.name)
    try:
        (workplace / "tree").rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process was first, with the same files
            raise


def _run(command: list[str], cwd: Path, what: str) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            start_new_session=True,  # Ctrl-C is for the caller alone, who would take a stopped child for a failed one
        )
    except subprocess.TimeoutExpired:
        raise MissingDependency(f"{what}: {' '.join(command)} took over {_TIMEOUT_S} s; {_advice(what)}") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise MissingDependency(f"{what}: {' '.join(command[:1])} failed ({said[0]}); {_advice(what)}")


def _advice(package: str) -> str:
    return (
        "on Debian or Ubuntu: sudo apt-get update; elsewhere download its .deb from https://packages.debian.org/"
        f"{package.partition('_')[0]} and give the folder as archives=DIR or {ARCHIVES}=DIR"
    )
