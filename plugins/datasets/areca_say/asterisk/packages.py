"""Where the Debian packages of the recordings are."""

from __future__ import annotations

from pathlib import Path

from areca.fitting.recordings import debian

ARCHIVES = "ARECA_ASTERISK_ARCHIVES"
"""Environment variable that names the folder of the packages if no option does."""
SOUNDS = Path("usr/share/asterisk/sounds")


def locate_package(package: str, archives: Path | None) -> Path:
    """Return the folder of a package's files (``usr/share/...``): `areca.fitting.recordings.debian.locate_package`."""
    return debian.locate_package(package, archives, content=SOUNDS, variable=ARCHIVES)
