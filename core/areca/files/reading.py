"""Read untrusted files: regular files of limited size, and JSON of limited depth. Does not import torch."""

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
"""Maximum size of a JSON file, in bytes. The largest that areca writes lists every file of an artifact."""
DEEPEST = 50
"""Maximum nesting depth of lists and mappings."""
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def read_regular(
    path: Path, *, most: int = LONGEST_JSON, links: bool = False, error: type[ArecaError] = InvalidArtifact
) -> bytes:
    """Return the bytes of a regular file. Never blocks on a pipe or a device.

    Args:
        path: the file.
        most: maximum size in bytes.
        links: whether `path` itself may be a symbolic link.
        error: exception type to raise.

    Raises:
        FileNotFoundError: the file does not exist.
        ArecaError: (as `error`) the path is not a regular file, or the file is too large or cannot be read.
    """
    if not links and path.is_symlink():
        raise error(f"{path}: expected a regular file, got a symbolic link")
    try:
        descriptor = os.open(path, _FLAGS)  # opens a pipe without blocking; the check below rejects it
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
    """Read a JSON file that contains one object.

    Args:
        path: the file.
        most: maximum size in bytes.
        links: whether `path` itself may be a symbolic link.
        infinity: whether numbers may be infinite, as in some configs of transformers.
        error: exception type to raise.

    Raises:
        FileNotFoundError: the file does not exist.
        ArecaError: (as `error`) the path is not a regular file of at most `most` bytes, or its content is not a JSON
            object that `parse_json` accepts.
    """
    value = parse_json(read_regular(path, most=most, links=links, error=error), str(path), infinity, error)
    if not isinstance(value, dict):
        raise error(f"{path}: expected a JSON object, got {quote(value)}")
    return value


def parse_json(text: str | bytes, where: str, infinity: bool = False, error: type[ArecaError] = InvalidArtifact) -> Any:
    """Parse JSON text.

    Args:
        text: the JSON; bytes are UTF-8.
        where: the file or value being parsed, for the message.
        infinity: whether numbers may be infinite.
        error: exception type to raise.

    Raises:
        ArecaError: (as `error`) the text is not JSON, has more than `DEEPEST` levels, repeats a key, or contains a
            number that is not finite or a lone surrogate.
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(decoded, object_pairs_hook=_reject_repeated_keys)
        check_plain(value, infinity=infinity)
    except RecursionError:
        raise error(f"{where}: expected JSON of at most {DEEPEST} levels, got more") from None
    except ValueError as e:
        raise error(f"{where}: expected JSON: {e}") from e
    return value


def _reject_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(repeated, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {quote(repeated)} appears twice")
    return found


def check_plain(value: Any, *, infinity: bool = False) -> None:
    """Check that a value can be written as JSON and is not nested too deeply.

    Args:
        value: mappings, sequences, strings, numbers, booleans and None.
        infinity: whether numbers may be infinite.

    Raises:
        ValueError: there are more than `DEEPEST` levels, a number that is not finite, or a lone surrogate.
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
    """Return the keys and values of a mapping, the items of a list or tuple, or nothing for any other value."""
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
            raise ValueError(f"{quote(item)} contains a lone surrogate, expected complete characters") from None
