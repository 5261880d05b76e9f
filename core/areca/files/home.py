"""The folder where areca keeps what it builds and downloads. Light."""

from __future__ import annotations

import os
from pathlib import Path

from areca.errors import StorageError

ELSEWHERE = "\n  to keep artifacts elsewhere: ARECA_HOME=/a/folder/of/yours areca ..."
"""Advice at the end of a message about the folder."""


def home_folder() -> Path:
    """Return ``$ARECA_HOME``, or ``~/.cache/areca``. The folder may not exist yet.

    Raises:
        StorageError: there is no home folder, and ARECA_HOME is not set.
    """
    if home := os.environ.get("ARECA_HOME"):
        return Path(home)
    try:
        return Path.home() / ".cache" / "areca"
    except RuntimeError as error:
        raise StorageError(f"there is no home folder to keep artifacts in{ELSEWHERE}") from error
