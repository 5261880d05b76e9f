"""Where the paths of a manifest lead. Imports nothing heavy.

Relative paths start from the manifest's folder, or from the ``root:`` that a run's YAML gives, and never lead out of
it, neither by ``..`` nor by a link. Absolute ones are for manifests that the user wrote: what is part of an artifact
may come from anyone, and stays inside its folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from areca.errors import InvalidManifest, quote

_LONGEST_NAME = 255
"""Bytes of a file's name: file systems have this limit, and refuse with an error of their own."""
_LONGEST_PATH = 4000


class Paths:
    """The paths of one manifest.

    Args:
        root: folder that relative paths start from.
        own: whether the manifest is the user's own, so that absolute paths are allowed.
    """

    def __init__(self, root: Path, *, own: bool) -> None:
        self._root, self._own = os.path.realpath(root), own
        self._directories: dict[str, str] = {}

    def resolve(self, path: str) -> str:
        """Return the real path of a file that a row names.

        Raises:
            InvalidManifest: it is relative and leads out of the folder, or absolute in an artifact.
        """
        if "\0" in path or (os.path.isabs(path) and not self._own):
            raise InvalidManifest(f"path {quote(path)}: expected one relative to the manifest's folder {self._root}")
        if any(len(os.fsencode(name)) > _LONGEST_NAME for name in path.split(os.sep)) or len(path) > _LONGEST_PATH:
            raise InvalidManifest(f"path {quote(path)}: names of more than {_LONGEST_NAME} bytes are no file's")
        if os.path.isabs(path):
            return os.path.realpath(path)
        directory, name = os.path.split(path)
        if directory not in self._directories:  # a link in it costs many calls to find, and rows share folders
            self._directories[directory] = os.path.realpath(os.path.join(self._root, directory))
        real = os.path.join(self._directories[directory], name)
        if name in ("", ".", "..") or os.path.islink(real):
            real = os.path.realpath(real)
        if not real.startswith(self._root.rstrip(os.sep) + os.sep):
            hint = ": write it as an absolute path, or give `root:` beside `manifest:`" if self._own else ""
            raise InvalidManifest(f"path {quote(path)} leads out of the manifest's folder {self._root}{hint}")
        return real
