"""Resolve the paths of a manifest. Light.

Relative paths start from the manifest's folder, or from the ``root:`` in a run's YAML. They must not lead out of it, by
``..`` or by a link. Absolute paths are allowed only in the user's own manifests: an artifact may come from anyone, so
its files must be in its folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from areca.errors import InvalidManifest, quote

_LONGEST_NAME = 255
"""Bytes of a file's name, at most: the limit of file systems, whose error says less."""
_LONGEST_PATH = 4000


class Paths:
    """The paths of one manifest.

    Args:
        root: the folder where relative paths start.
        allow_absolute: whether paths may be absolute: only in the user's own manifests.
    """

    def __init__(self, root: Path, *, allow_absolute: bool) -> None:
        self._root, self._allow_absolute = os.path.realpath(root), allow_absolute
        self._directories: dict[str, str] = {}

    def resolve(self, path: str) -> str:
        """Return the real path of a row's file.

        Raises:
            InvalidManifest: the path is relative and leads out of the folder, or is absolute in an artifact.
        """
        if "\0" in path or (os.path.isabs(path) and not self._allow_absolute):
            raise InvalidManifest(f"path {quote(path)}: expected one relative to the manifest's folder {self._root}")
        if any(len(os.fsencode(name)) > _LONGEST_NAME for name in path.split(os.sep)) or len(path) > _LONGEST_PATH:
            raise InvalidManifest(f"path {quote(path)}: no file has a name of more than {_LONGEST_NAME} bytes")
        if os.path.isabs(path):
            return os.path.realpath(path)
        directory, name = os.path.split(path)
        if directory not in self._directories:  # finding links takes many calls, and rows share folders
            self._directories[directory] = os.path.realpath(os.path.join(self._root, directory))
        real = os.path.join(self._directories[directory], name)
        if name in ("", ".", "..") or os.path.islink(real):
            real = os.path.realpath(real)
        if not real.startswith(self._root.rstrip(os.sep) + os.sep):
            hint = ": write it as an absolute path, or give `root:` beside `manifest:`" if self._allow_absolute else ""
            raise InvalidManifest(f"path {quote(path)} leads out of the manifest's folder {self._root}{hint}")
        return real
