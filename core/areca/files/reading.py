"""Read files that anyone may have written: regular files of bounded size, and JSON of bounded depth. No torch."""

from __future__ import annotations

import json
import math
import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from areca.errors import ArecaError, InvalidArtifact, quote

LONGEST_JSON = 16 << 20
"""Bytes of a JSON file, at most: the largest that areca writes names every file of an artifact."""
DEEPEST = 50
"""Levels of lists and mappings inside each other, at most."""
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def read_regular(
    path: Path, *, most: int = LONGEST_JSON, links: bool = False, error: type[ArecaError] = InvalidArtifact
) -> bytes:
    """Return the bytes of a regular file; never waits for a pipe or a device.

    Args:
        path: the file.
        most: bytes that it may have.
        links: whether `path` itself may be a symbolic link.
        error: what is raised.

    Raises:
        FileNotFoundError: nothing is there.
        ArecaError: `error`: it is something else than a regular file, larger, or cannot be read.
    """
    if not links and path.is_symlink():
        raise error(f"{path}: expected a regular file, got a symbolic link")
    try:
        descriptor = os.open(path, _FLAGS)  # a pipe opens at once too, and is then refused
    except FileNotFoundError:
        raise
    except OSError as e:
        raise error(f"{path}: cannot be read: {e.strerror or e}") from e
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise error(f"{path}: expected a regular file, got a {_kind(found.st_mode)}")
        if found.st_size > most:
            raise error(f"{path}: expected at most {most:,} bytes, got {found.st_size:,}")
        with open(descriptor, "rb", closefd=False) as f:
            return f.read(most)
    finally:
        os.close(descriptor)


def _kind(mode: int) -> str:
    kinds = {stat.S_ISDIR: "folder", stat.S_ISFIFO: "named pipe", stat.S_ISSOCK: "socket"}
    return next((name for is_kind, name in kinds.items() if is_kind(mode)), "device")


def read_json(
    path: Path,
    *,
    most: int = LONGEST_JSON,
    links: bool = False,
    infinity: bool = False,
    error: type[ArecaError] = InvalidArtifact,
) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Args:
        path: the file.
        most: bytes that it may have.
        links: whether `path` itself may be a symbolic link.
        infinity: whether numbers may be infinite, as in some configs of transformers.
        error: what is raised.

    Raises:
        FileNotFoundError: nothing is there.
        ArecaError: `error`: not a regular file of at most `most` bytes, or not a JSON object as of `parse_json`.
    """
    value = parse_json(read_regular(path, most=most, links=links, error=error), str(path), infinity, error)
    if not isinstance(value, dict):
        raise error(f"{path}: expected a JSON object, got {quote(value)}")
    return value


def parse_json(text: str | bytes, where: str, infinity: bool = False, error: type[ArecaError] = InvalidArtifact) -> Any:
    """Return the value of a JSON text: at most `DEEPEST` levels, keys named once, finite numbers, whole characters.

    Args:
        text: the JSON, bytes in UTF-8.
        where: what is read, for the error.
        infinity: whether numbers may be infinite.
        error: what is raised.

    Raises:
        ArecaError: `error`: it is not such a text.
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(decoded, object_pairs_hook=_named_once)
        check_plain(value, infinity=infinity)
    except RecursionError:
        raise error(f"{where}: expected JSON of at most {DEEPEST} levels, got more") from None
    except ValueError as e:
        raise error(f"{where}: expected JSON: {e}") from e
    return value


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {quote(twice)} is there twice")
    return found


def check_plain(value: Any, *, infinity: bool = False) -> None:
    """Refuse what cannot be written as JSON again, or is nested too deeply.

    Args:
        value: of mappings, sequences, strings, numbers, booleans and None.
        infinity: whether numbers may be infinite.

    Raises:
        ValueError: more than `DEEPEST` levels, a number that is not finite, half a character.
    """
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"expected at most {DEEPEST} levels, got more")
        for item in level:
            _check_scalar(item, infinity)
        level = [child for item in level for child in children(item)]


def children(item: Any) -> Iterable[Any]:
    """Return the keys and values of a mapping, or the items of a list or tuple; of anything else, nothing."""
    if isinstance(item, Mapping):
        return (*item.keys(), *item.values())
    return item if isinstance(item, (list, tuple)) else ()


def _check_scalar(item: Any, infinity: bool) -> None:
    if isinstance(item, float) and (math.isnan(item) or (math.isinf(item) and not infinity)):
        raise ValueError(f"expected finite numbers, got {item}")
    if isinstance(item, str) and not item.isascii():
        try:
            item.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(f"{quote(item)} holds half a character") from None
