"""One row of a manifest: its columns, and the checks that need no file. Light."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from areca.errors import InvalidManifest, quote, suggest

_MOST_S = 1e9
"""Maximum number of seconds, thirty years. JSON may hold integers that a float cannot."""
_DEEPEST = 100
"""Maximum nesting depth of `extra`. The JSON reader's own limit depends on the stack of its caller."""
_TEXT = ((str, type(None)), "text or null")
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "id": ((str,), "text"),
    "split": ((str,), "text"),
    "offset_s": ((int, float), "a number of seconds"),
    "duration_s": ((int, float, type(None)), "a number of seconds or null"),
    "extra": ((dict,), "an object"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One row of a manifest.

    Args:
        id: unique in the manifest.
        audio: path of the recording, relative to the manifest's folder (`areca.rows.paths`), or another name that the
            manifest resolves.
        text: its words.
        language: ISO 639-1 code, such as ``"fr"``.
        speaker: who speaks.
        split: ``"train"``, ``"validation"``, ``"test"`` or another name.
        source: its origin, such as ``"human"``.
        offset_s, duration_s: the part of the recording to use, in seconds; None: to the end.
        target_audio, target_text, target_language: the translated side, if there is one.
        extra: anything else; tasks read it as ``extra.<name>``.
    """

    id: str
    audio: str | None = None
    text: str | None = None
    language: str | None = None
    speaker: str | None = None
    split: str = "train"
    source: str | None = None
    offset_s: float = 0.0
    duration_s: float | None = None
    target_audio: str | None = None
    target_text: str | None = None
    target_language: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def parse_row(line: bytes) -> Utterance:
    """Read one line of JSON as a row. Its files are not checked.

    Raises:
        InvalidManifest: the line is not UTF-8 or not a JSON object, a column is unknown or missing, a value has the
            wrong type or range, or `extra` holds a value that cannot be written as JSON.
    """
    try:
        row = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise InvalidManifest(f"not UTF-8 text ({error.reason} at byte {error.start})") from None
    except (ValueError, RecursionError) as error:
        raise InvalidManifest(f"not JSON ({error})") from None
    if not isinstance(row, dict):
        raise InvalidManifest(f'expected a JSON object like {{"id": ...}}, got {type(row).__name__}')
    if unknown := row.keys() - Utterance.__dataclass_fields__.keys():
        _refuse_column(min(unknown))
    for column, value in row.items():
        _check_type(column, value)
    if "id" not in row:
        raise InvalidManifest("column 'id' is missing")
    _check_span(row.get("offset_s", 0.0), row.get("duration_s"))
    _check_value("extra", row.get("extra", {}))
    return Utterance(**row)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_column(column: str) -> None:
    known = [f.name for f in dataclasses.fields(Utterance)]
    raise InvalidManifest(
        f"unknown column {quote(column)}{suggest(column, known)}\n"
        f"  columns: {', '.join(known)}; put your own data into extra"
    )


def _check_type(column: str, value: Any) -> None:
    types, expected = _TYPES.get(column, _TEXT)
    if not isinstance(value, types) or isinstance(value, bool):
        raise InvalidManifest(f"column {column!r} is {quote(value)}, expected {expected}")
    if isinstance(value, str):
        if not value.strip():
            raise InvalidManifest(f"column {column!r} is empty; leave the column out if it is not known")
        _check_text(f"column {column!r}", value)


def _check_text(name: str, value: str) -> None:
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise InvalidManifest(f"{name} is {quote(value)}: half of a surrogate pair is not text")


def _check_value(name: str, value: Any, depth: int = 0) -> None:
    """Refuse values in `extra` that JSON reads but cannot write: the manifest's key hashes its rows as JSON."""
    if depth > _DEEPEST:
        raise InvalidManifest(f"extra is more than {_DEEPEST} lists and objects deep")
    if isinstance(value, str):
        _check_text(name, value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidManifest(f"{name} is {value}, expected a number that a float can hold")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_value(f"{name}[{i}]", item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(f"a name in {name}", key)
            _check_value(f"{name}.{key}", item, depth + 1)


def _check_span(offset_s: float, duration_s: float | None) -> None:
    if not 0 <= offset_s <= _MOST_S:
        raise InvalidManifest(f"offset_s is {quote(offset_s)}, expected 0 or more seconds, up to {_MOST_S:g}")
    if duration_s is not None and not 0 < duration_s <= _MOST_S:
        raise InvalidManifest(f"duration_s is {quote(duration_s)}, expected more than 0 seconds, up to {_MOST_S:g}")
