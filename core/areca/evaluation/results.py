"""Results: one row for each example and metric, stored in ``results.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from areca.errors import InvalidArtifact, quote
from areca.evaluation.folder import check_results
from areca.files.writing import replace_file, wrap_storage_errors
from areca.languages import known_code
from areca.manifest import Utterance
from areca.tasks import Field, Task

COMPUTE, SPEECH = "compute_s", "speech_s"
OUTPUT, TRUTH = "output", "truth"
EXACT = "exact"
"""Label of the metric that marks answers as right, and whose ceiling is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One example under one metric.

    Args:
        id: id of the manifest's row.
        task: the task or chain.
        field: the output that is scored, such as ``"target.audio"``.
        of: ``"output"``, or ``"truth"`` if the judge transcribed the reference recording instead (the ceiling).
        metric: the metric's label; ``"compute_s"``: seconds to compute the answer; ``"speech_s"``: seconds of speech
            in it.
        value: the example's score.
        counts: the counts, which are added up over examples and then scored; empty for times.
        hypothesis, reference: as written or heard, before the normaliser; both ``""`` for times.
        normaliser: signature of the normaliser; ``""``: none is applied.
        signature: signature of the metric. Counts are added up only where signatures are equal.
        component: the entry of ``evaluation.metrics`` for the metric, as a mapping; empty for times.
        judge: label of the judge; None: the answer is written, or the metric reads audio.
        language: language of the question.
        text_language: language of hypothesis and reference.
        source: source of the manifest's row, such as ``"human"``.
        audio: path of the answer's recording, relative to the results' folder; None: it has none.
    """

    id: str
    task: str
    field: str
    of: str
    metric: str
    value: float
    counts: tuple[float, ...]
    hypothesis: str
    reference: str
    normaliser: str
    signature: str
    component: Mapping[str, Any]
    judge: str | None
    language: str | None
    text_language: str | None
    source: str | None
    audio: str | None


def spoken_fields(task: Task) -> list[Field]:
    """Return the outputs that are spoken."""
    return [field for field in task.outputs if field.kind == "audio"]


def language_of(row: Utterance, field: Field) -> str | None:
    """Return the code of a field's language; None: it is not known. Judges, metrics and normalisers take codes."""
    return known_code(row.target_language if field.path.startswith("target.") else row.language)


def truth_of(row: Utterance, field: Field) -> str:
    """Return a unique name for the reference recording of a spoken output."""
    if field.path == "target.audio":
        return f"truth:{row.target_audio}"
    return f"truth:{row.audio}@{row.offset_s}+{row.duration_s}"


def write_results(path: Path, rows: Iterable[ResultRow]) -> None:
    """Write rows as JSON Lines, atomically."""
    with replace_file(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(asdict(row), ensure_ascii=False, allow_nan=False) + "\n")


def read_results(path: Path) -> list[ResultRow]:
    """Read what `write_results` wrote.

    Raises:
        InvalidArtifact: the file does not exist, is not the one that the evaluation wrote, or has a line that is not a
            result.
        StorageError: the file cannot be read.
    """
    if not path.is_file():
        raise InvalidArtifact(f"{path}: no results there; make them with: areca evaluate CHECKPOINT -o {path.parent}")
    with wrap_storage_errors(path, "read"):
        lines = path.read_bytes().splitlines()  # text would be cut at U+2028, too
        check_results(path.parent)
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_parse_row(json.loads(line, parse_constant=_refuse_constant)))
        except (ValueError, TypeError, KeyError, RecursionError) as e:
            raise InvalidArtifact(f"{path}:{number}: not a result ({e})") from e
    return rows


_COLUMNS: dict[str, Any] = {
    "str": str,
    "float": (int, float),
    "str | None": (str, type(None)),
    "tuple[float, ...]": tuple,
    "Mapping[str, Any]": dict,
}
"""The types that each annotation of `ResultRow` allows."""


def _parse_row(line: Any) -> ResultRow:
    row = ResultRow(**line | {"counts": tuple(line["counts"])})
    if not all(isinstance(count, (int, float)) for count in row.counts):
        raise ValueError(f"counts: expected numbers, got {quote(list(row.counts))}")
    for column in fields(ResultRow):
        value = getattr(row, column.name)
        if not isinstance(value, _COLUMNS[str(column.type)]) or isinstance(value, bool):
            raise ValueError(f"{column.name}: expected {column.type}, got {quote(value)}")
    parts = PurePosixPath(row.audio or "audio/").parts
    if parts[0] != "audio" or ".." in parts:  # the listening page embeds this file
        raise ValueError(f"audio: expected a path below audio/, got {quote(row.audio)}")
    return row


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")
