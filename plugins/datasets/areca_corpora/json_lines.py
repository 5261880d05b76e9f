"""JSON Lines of other programs, such as lhotse's cuts. Light: no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from areca.errors import InvalidManifest
from areca_corpora.mapping import COLUMNS
from areca_corpora.options import Dropped, require
from areca_corpora.own import TableOptions
from areca_corpora.tables import Line

_CUT: Mapping[str, str] = MappingProxyType(
    {
        "id": "id",
        "audio": "recording.sources.0.source",
        "offset_s": "start",
        "duration_s": "duration",
        "text": "supervisions.0.text",
        "language": "supervisions.0.language",
        "speaker": "supervisions.0.speaker",
    }
)
_DEEPEST = 20
"""Maximum nesting depth of a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLinesOptions(TableOptions):
    """Options of `jsonl`: a JSON object on each line, such as a manifest of NeMo or ``metadata.jsonl`` of the hub.

    In `columns`, dots lead into objects, and numbers into lists: ``{audio: audio_filepath, duration_s: duration, text:
    labels.0.text}``. A line may lack a value. The file may be compressed with gzip.
    """

    def choose(self, line: Line) -> Mapping[str, str]:
        """Return the user's mapping, because lines may differ. By default the names of a manifest's columns."""
        columns = self.columns or {name: name for name in COLUMNS}
        if "audio" not in columns:
            raise InvalidManifest(f"{self.path}: which value names the recording? type: columns={{audio: NAME}}")
        return columns

    def lines(self, dropped: Dropped) -> Iterator[Line]:
        """Yield the values of each line, by their dotted names."""
        yield from (Line(where, dict(_flatten(value))) for where, value in self._objects(dropped))

    def _objects(self, dropped: Dropped) -> Iterator[tuple[str, Mapping[str, Any]]]:
        from areca.rows.lines import read_lines  # imported here because `areca list` reads no table

        for number, content in read_lines(require(self.path, "a file of JSON Lines")):
            where = f"{self.path}:{number}"
            try:
                value = json.loads(content.decode("utf-8"))
            except (ValueError, RecursionError) as error:
                dropped.refuse(where, f"not JSON ({error})")
                continue
            if isinstance(value, dict):
                yield where, value
            else:
                dropped.refuse(where, f"expected a JSON object, got {type(value).__name__}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LhotseOptions(JsonLinesOptions):
    """Options of `lhotse`.

    The layout is that of a CutSet in JSON Lines: https://lhotse.readthedocs.io/en/latest/cuts.html. A cut needs exactly
    one supervision and a recording that is a file. `columns` adds to id, audio, offset_s, duration_s, text, language
    and speaker, which are always read: ``{target_text: supervisions.0.custom.translation}``.
    """

    def choose(self, line: Line) -> Mapping[str, str]:
        """Return the values of a cut, and those that the user adds."""
        return {**_CUT, **self.columns}

    def _objects(self, dropped: Dropped) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for where, cut in JsonLinesOptions._objects(self, dropped):
            if problem := _find_problem(cut):
                dropped.add(problem, where)
            else:
                yield where, cut


def _find_problem(cut: Mapping[str, Any]) -> str | None:
    """Return why a cut cannot be a row; None: it can be."""
    supervisions, recording = cut.get("supervisions"), cut.get("recording")
    if not isinstance(supervisions, list) or len(supervisions) != 1:
        return "the cut has not exactly one supervision (CutSet.trim_to_supervisions makes such cuts)"
    sources = recording.get("sources") if isinstance(recording, dict) else None
    if not isinstance(sources, list) or len(sources) != 1 or not isinstance(sources[0], dict):
        return "the cut has not exactly one source of audio"
    return None if sources[0].get("type") == "file" else "the audio of the cut is not a file"


def _flatten(value: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the texts and numbers in a value, by their dotted names."""
    if isinstance(value, (dict, list)) and depth < _DEEPEST:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            yield from _flatten(item, f"{prefix}.{name}" if prefix else str(name), depth + 1)
    elif isinstance(value, (str, int, float)):
        yield prefix, str(value)
