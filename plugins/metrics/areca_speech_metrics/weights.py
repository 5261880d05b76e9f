"""Files of weights in installed packages, which are found without importing the packages. Light."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from areca.errors import MissingWeights


def find_resemblyzer(path: Path | None) -> Path:
    """Return `path`, or the weights in the installed package ``resemblyzer``.

    Raises:
        MissingWeights: there is no such file.
    """
    found = find_in_package("resemblyzer", "pretrained.pt") if path is None else path
    if found is None or not found.is_file():
        raise MissingWeights(
            f"metric 'speaker-similarity': {found or 'no weights'} not found: pip install --no-deps resemblyzer, or "
            "give path: /path/to/pretrained.pt"
        )
    return found


def find_in_package(package: str, file: str) -> Path | None:
    """Return the path of a file in an installed package; None: the package is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], file)
