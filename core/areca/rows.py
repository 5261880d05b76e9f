"""The checks of one manifest row: columns, types, numbers, paths and the audio they lead to."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from areca import audio
from areca.errors import InvalidAudio, InvalidManifest, suggest

if TYPE_CHECKING:
    from areca.manifest import Utterance

LONGEST_S = 600.0
"""Seconds that one utterance may last."""
_SLACK_S = 0.01
"""Manifests round offsets and durations: this much beyond the end of a file is still its end."""
_PATHS = ("audio", "target_audio")
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "id": ((str,), "text"),
    "split": ((str,), "text"),
    "offset_s": ((int, float), "a number of seconds"),
    "duration_s": ((int, float, type(None)), "a number of seconds or null"),
    "extra": ((dict,), "an object"),
}
_TEXT = ((str, type(None)), "text or null")


def parse(line: bytes, cls: type[Utterance]) -> Utterance:
    """Read one line of JSON as a row; its files are not looked at.

    Raises:
        InvalidManifest: no UTF-8, no JSON object, an unknown or missing column, a value of the wrong type or range.
    """
    try:
        row = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise InvalidManifest(f"not UTF-8 text ({error.reason} at byte {error.start})") from None
    except (ValueError, RecursionError) as error:
        raise InvalidManifest(f"not JSON ({error})") from None
    if not isinstance(row, dict):
        raise InvalidManifest(f"expected a JSON object like {{\"id\": ...}}, got {type(row).__name__}")
    known = [f.name for f in dataclasses.fields(cls)]
    for column, value in row.items():
        if column not in known:
            raise InvalidManifest(
                f"unknown column {column!r}{suggest(column, known)}; what is your own goes into extra"
            )
        _check_type(column, value)
    if "id" not in row:
        raise InvalidManifest("column 'id' is missing")
    _check_span(row.get("offset_s", 0.0), row.get("duration_s"))
    return cls(**row)


def check_files(row: Utterance, resolve: Callable[[str], Path], *, decode: bool) -> None:
    """Check that the row's files are there, whole, and as long as the row says; with `decode`, sample by sample.

    Raises:
        InvalidManifest, InvalidAudio: they are not.
    """
    for column in _PATHS:
        relative = getattr(row, column)
        if relative is None:
            continue
        try:
            seconds = _seconds(resolve(relative), decode)
        except InvalidAudio as error:
            raise InvalidManifest(f"{column}: {error}") from error
        offset_s, duration_s = (row.offset_s, row.duration_s) if column == "audio" else (0.0, None)
        _check_length(column, seconds, offset_s, duration_s)


def inside(root: Path, relative: str) -> Path:
    """Return the real path of `relative`, which may not lead out of `root`, by ``..`` or by a link either.

    Raises:
        InvalidManifest: it is absolute, or leads out.
    """
    if os.path.isabs(relative) or "\0" in relative:
        raise InvalidManifest(f"path {relative!r}: expected one relative to the manifest's folder {root}")
    directory, name = os.path.split(relative)
    real = os.path.join(_real(os.path.join(root, directory)), name)
    if name in ("", ".", "..") or os.path.islink(real):
        real = os.path.realpath(real)
    base = _real(str(root))
    if real != base and not real.startswith(base.rstrip(os.sep) + os.sep):
        raise InvalidManifest(f"path {relative!r} leads out of the manifest's folder {root}")
    return Path(real)


@functools.lru_cache(maxsize=4096)
def _real(directory: str) -> str:
    return os.path.realpath(directory)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _check_type(column: str, value: Any) -> None:
    types, expected = _TYPES.get(column, _TEXT)
    if not isinstance(value, types) or isinstance(value, bool):
        raise InvalidManifest(f"column {column!r} is {value!r}, expected {expected}")
    if isinstance(value, str):
        if not value.strip():
            raise InvalidManifest(f"column {column!r} is empty; leave out what is not known")
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise InvalidManifest(f"column {column!r} is {value!r}: half of a surrogate pair is no text")


def _check_span(offset_s: float, duration_s: float | None) -> None:
    if not (math.isfinite(offset_s) and offset_s >= 0):
        raise InvalidManifest(f"offset_s is {offset_s}, expected 0 or more seconds")
    if duration_s is not None and not (math.isfinite(duration_s) and duration_s > 0):
        raise InvalidManifest(f"duration_s is {duration_s}, expected more than 0 seconds")


def _seconds(path: Path, decode: bool) -> float:
    header = audio.header(path)
    # One decoding shows NaN and a damaged end; hours are refused by their header alone, in no memory.
    if decode and header.seconds <= LONGEST_S:
        audio.read(path)
    return header.seconds


def _check_length(column: str, seconds: float, offset_s: float, duration_s: float | None) -> None:
    if offset_s >= seconds:
        raise InvalidManifest(f"offset_s is {offset_s:g}, but the {column} lasts {seconds:.3f} s")
    if duration_s is not None and offset_s + duration_s > seconds + _SLACK_S:
        raise InvalidManifest(
            f"offset_s + duration_s is {offset_s + duration_s:g}, but the {column} lasts {seconds:.3f} s"
        )
    if (length := seconds - offset_s if duration_s is None else duration_s) > LONGEST_S:
        raise InvalidManifest(
            f"{column} lasts {length:.0f} s, more than {LONGEST_S:g} s; cut it with offset_s and duration_s"
        )
