"""The checks of one manifest row: columns, types, numbers, paths and the audio they lead to."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from areca import audio
from areca.errors import InvalidAudio, InvalidManifest, MissingDependency, suggest

if TYPE_CHECKING:
    from areca.manifest import Utterance

Depth = Literal["path", "header", "decode"]
LONGEST_S = 600.0
"""Seconds that one utterance may last."""
_SLACK_S = 0.01
"""Manifests round offsets and durations: this much beyond the end of a file is still its end."""
_MOST_S = 1e9
"""Thirty years, more than any recording lasts: JSON writes integers of any length, and a float does not hold them."""
_DEEPEST = 100
"""Lists and objects within each other in `extra`: the reader's limit depends on who calls it."""
_TEXT = ((str, type(None)), "text or null")
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "id": ((str,), "text"),
    "split": ((str,), "text"),
    "offset_s": ((int, float), "a number of seconds"),
    "duration_s": ((int, float, type(None)), "a number of seconds or null"),
    "extra": ((dict,), "an object"),
}


def parse(line: bytes, cls: type[Utterance]) -> Utterance:
    """Read one line of JSON as a row; its files are not looked at.

    Raises:
        InvalidManifest: no UTF-8, no JSON object, an unknown or missing column, a value of the wrong type or range,
            or in `extra` one that cannot be written again.
    """
    try:
        row = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise InvalidManifest(f"not UTF-8 text ({error.reason} at byte {error.start})") from None
    except (ValueError, RecursionError) as error:
        raise InvalidManifest(f"not JSON ({error})") from None
    if not isinstance(row, dict):
        raise InvalidManifest(f'expected a JSON object like {{"id": ...}}, got {type(row).__name__}')
    if unknown := row.keys() - cls.__dataclass_fields__.keys():
        _refuse_column(min(unknown), cls)
    for column, value in row.items():
        _check_type(column, value)
    if "id" not in row:
        raise InvalidManifest("column 'id' is missing")
    _check_span(row.get("offset_s", 0.0), row.get("duration_s"))
    _check_inside("extra", row.get("extra", {}))
    return cls(**row)


class Files:
    """The files under one manifest's folder; each is opened once, however many rows share it."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._directories: dict[str, str] = {}
        self._seconds: dict[str, float] = {}
        self._decoded: set[tuple[str, float, float | None]] = set()

    def resolve(self, relative: str) -> str:
        """Return the real path of `relative`, which may not lead out of the folder, by ``..`` or by a link either.

        Raises:
            InvalidManifest: it is absolute, or leads out.
        """
        if os.path.isabs(relative) or "\0" in relative:
            raise InvalidManifest(f"path {relative!r}: expected one relative to the manifest's folder {self._root}")
        directory, name = os.path.split(relative)
        if directory not in self._directories:  # a link in it costs many calls to find, and rows share folders
            self._directories[directory] = os.path.realpath(os.path.join(self._root, directory))
        real = os.path.join(self._directories[directory], name)
        if name in ("", ".", "..") or os.path.islink(real):
            real = os.path.realpath(real)
        if not real.startswith(self._root.rstrip(os.sep) + os.sep):
            raise InvalidManifest(f"path {relative!r} leads out of the manifest's folder {self._root}")
        return real

    def check(self, row: Utterance, depth: Depth) -> None:
        """Check the row's files: they are there (path), as long as the row says (header), sound in full (decode).

        Raises:
            InvalidManifest: they are not, or what reads them is not installed.
        """
        spans = {"audio": (row.offset_s, row.duration_s), "target_audio": (0.0, None)}
        for column, (offset_s, duration_s) in spans.items():
            if (relative := getattr(row, column)) is None:
                continue
            path = self.resolve(relative)
            try:
                if depth == "path":
                    audio.require_file(path)
                    continue
                _check_length(column, self._length_s(path), offset_s, duration_s)
                if depth == "decode" and (path, offset_s, duration_s) not in self._decoded:
                    audio.read(path, offset_s=offset_s, duration_s=duration_s)
                    self._decoded.add((path, offset_s, duration_s))
            except (InvalidAudio, MissingDependency) as error:
                raise InvalidManifest(f"{column}: {error}") from error

    def _length_s(self, path: str) -> float:
        if path not in self._seconds:
            self._seconds[path] = audio.header(path).seconds
        return self._seconds[path]


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _refuse_column(column: str, cls: type[Utterance]) -> None:
    known = [f.name for f in dataclasses.fields(cls)]
    raise InvalidManifest(
        f"unknown column {column!r}{suggest(column, known)}\n"
        f"  columns: {', '.join(known)}; anything of your own goes into extra"
    )


def _check_type(column: str, value: Any) -> None:
    types, expected = _TYPES.get(column, _TEXT)
    if not isinstance(value, types) or isinstance(value, bool):
        raise InvalidManifest(f"column {column!r} is {reprlib.repr(value)}, expected {expected}")
    if isinstance(value, str):
        if not value.strip():
            raise InvalidManifest(f"column {column!r} is empty; leave out what is not known")
        _check_text(f"column {column!r}", value)


def _check_text(where: str, value: str) -> None:
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise InvalidManifest(f"{where} is {value!r}: half of a surrogate pair is no text")


def _check_inside(where: str, value: Any, depth: int = 0) -> None:
    """Refuse in `extra` what JSON reads but does not write again: the manifest's key is made of its rows as JSON."""
    if depth > _DEEPEST:
        raise InvalidManifest(f"extra is more than {_DEEPEST} lists and objects deep")
    if isinstance(value, str):
        _check_text(where, value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidManifest(f"{where} is {value}, expected a number that a float can hold")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_inside(f"{where}[{i}]", item, depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(f"a name in {where}", name)
            _check_inside(f"{where}.{name}", item, depth + 1)


def _check_span(offset_s: float, duration_s: float | None) -> None:
    if not 0 <= offset_s <= _MOST_S:
        raise InvalidManifest(f"offset_s is {reprlib.repr(offset_s)}, expected 0 or more seconds, up to {_MOST_S:g}")
    if duration_s is not None and not 0 < duration_s <= _MOST_S:
        raise InvalidManifest(
            f"duration_s is {reprlib.repr(duration_s)}, expected more than 0 seconds, up to {_MOST_S:g}"
        )


def _check_length(column: str, seconds: float, offset_s: float, duration_s: float | None) -> None:
    if offset_s >= seconds:
        raise InvalidManifest(f"offset_s is {offset_s:g}, but the {column} lasts {seconds:.3f} s")
    if duration_s is not None and offset_s + duration_s > seconds + _SLACK_S:
        end_s = offset_s + duration_s
        raise InvalidManifest(f"offset_s + duration_s is {end_s:g}, but the {column} lasts {seconds:.3f} s")
    if (length_s := seconds - offset_s if duration_s is None else duration_s) > LONGEST_S:
        raise InvalidManifest(
            f"{column} lasts {length_s:.0f} s, more than {LONGEST_S:g} s; cut it with offset_s and duration_s"
        )
