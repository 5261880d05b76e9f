"""Results: one row per example and metric, as ``results.jsonl`` holds them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from areca.errors import InvalidArtifact, quote
from areca.evaluation.answering import Answer
from areca.evaluation.folder import check_results
from areca.evaluation.journal import Journal
from areca.evaluation.judging import Heard, OpenJudge
from areca.files.writing import replace_file, wrap_storage_errors
from areca.languages import known_code
from areca.manifest import Utterance
from areca.scoring.bleu_tokenizers import BleuTokenize, bleu_tokenizer
from areca.scoring.metrics import metrics
from areca.scoring.normalize import Normaliser
from areca.tasks import Field, Task

COMPUTE, SPEECH = "compute_s", "speech_s"
OUTPUT, TRUTH = "output", "truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One example under one metric.

    Args:
        id: of the manifest's row.
        task: the task or chain.
        field: the output that is scored, as ``"target.audio"``.
        of: ``"output"``, or ``"truth"`` where a judge heard the true recording instead (its ceiling).
        metric: a name of `areca.scoring.metrics.metrics`, or ``"compute_s"`` and ``"speech_s"``: seconds it took
            to answer, and seconds of speech in the answer.
        value: the example's score.
        hypothesis, reference: as written or heard; read both with `normaliser` in `text_language`.
        normaliser: its name and version.
        signature: how the metric is computed.
        judge: label of the judge; None for text.
        language: spoken or written in the question.
        text_language: of hypothesis and reference.
        source: of the manifest's row, as ``"human"``.
        audio: the recording that was judged, from the results' folder; None for text and for the truth.
    """

    id: str
    task: str
    field: str
    of: str
    metric: str
    value: float
    hypothesis: str
    reference: str
    normaliser: str
    signature: str
    judge: str | None
    language: str | None
    text_language: str | None
    source: str | None
    audio: str | None


def spoken_fields(task: Task) -> list[Field]:
    """Return the outputs that are speech."""
    return [field for field in task.outputs if field.kind == "audio"]


def language_of(row: Utterance, field: Field) -> str | None:
    """Return the language of an output, as code where it is known: judges and normalisers know codes."""
    return known_code(row.target_language if field.path.startswith("target.") else row.language)


def truth_of(row: Utterance, field: Field) -> str:
    """Name the true recording of a spoken output, apart from all others."""
    if field.path == "target.audio":
        return f"truth:{row.target_audio}"
    return f"truth:{row.audio}@{row.offset_s}+{row.duration_s}"


class Scoring:
    """Makes the result rows of one example."""

    def __init__(
        self,
        normaliser: Normaliser,
        judges: Sequence[OpenJudge],
        answers: Journal[Answer],
        heard: Journal[Heard],
        bleu_tokenize: BleuTokenize = "auto",
    ) -> None:
        self._normaliser, self._judges, self._answers, self._heard = normaliser, judges, answers, heard
        self._bleu_tokenize = bleu_tokenize

    def __call__(self, task: Task, name: str, row: Utterance) -> Iterator[ResultRow]:
        """Yield the rows of every output field under every metric, and for speech under every judge."""
        answer = self._answers[name, row.id]
        for field in task.outputs:
            common = {
                "id": row.id,
                "task": name,
                "field": field.path,
                "language": known_code(row.language),
                "text_language": language_of(row, field),
                "source": row.source,
                "reference": _reference(row, field),
            }
            if field.kind == "text":
                yield from self._scores(common, OUTPUT, answer.texts[field.path], None, None)
                continue
            for judge in self._judges:
                yield from self._judged(common, judge, answer, truth_of(row, field))
            yield from _timing(common, answer)

    def _judged(self, common: dict[str, Any], judge: OpenJudge, answer: Answer, truth: str) -> Iterator[ResultRow]:
        if not judge.knows(common["text_language"]):
            return
        said = "" if answer.audio is None else self._heard[judge.label, answer.clip].text
        yield from self._scores(common, OUTPUT, said, judge.label, answer.audio)
        yield from self._scores(common, TRUTH, self._heard[judge.label, truth].text, judge.label, None)

    def _scores(
        self, common: dict[str, Any], of: str, hypothesis: str, judge: str | None, audio: str | None
    ) -> Iterator[ResultRow]:
        texts = (hypothesis, common["reference"])
        read_texts = [self._normaliser(text, common["text_language"] or "") for text in texts]
        for metric in metrics(bleu_tokenizer(self._bleu_tokenize, common["text_language"])).values():
            yield ResultRow(
                **common,
                of=of,
                metric=metric.name,
                value=metric.item(*read_texts),
                hypothesis=hypothesis,
                normaliser=self._normaliser.signature,
                signature=metric.signature,
                judge=judge,
                audio=audio,
            )


def _reference(row: Utterance, field: Field) -> str:
    if field.path.startswith("extra."):
        return str(row.extra[field.path.removeprefix("extra.")])
    return (row.target_text if field.path.startswith("target.") else row.text) or ""


def _timing(common: dict[str, Any], answer: Answer) -> Iterator[ResultRow]:
    for metric, value in ((COMPUTE, answer.compute_s), (SPEECH, answer.speech_s)):
        yield ResultRow(
            **common | {"reference": ""},
            of=OUTPUT,
            metric=metric,
            value=value,
            hypothesis="",
            normaliser="",
            signature="wall clock, warm" if metric == COMPUTE else "seconds of audio",
            judge=None,
            audio=answer.audio,
        )


def write_results(path: Path, rows: Iterable[ResultRow]) -> None:
    """Write rows as JSON Lines; the file appears whole or not at all."""
    with replace_file(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(asdict(row), ensure_ascii=False, allow_nan=False) + "\n")


def read_results(path: Path) -> list[ResultRow]:
    """Read what `write_results` wrote.

    Raises:
        InvalidArtifact: there is no such file, it is not the one that the evaluation wrote, or a line is not a result.
        StorageError: it cannot be read.
    """
    if not path.is_file():
        raise InvalidArtifact(f"{path}: no results there; make them with: areca evaluate CHECKPOINT -o {path.parent}")
    with wrap_storage_errors(path, "read"):
        lines = path.read_bytes().splitlines()  # text would be cut at U+2028, too
        check_results(path.parent)
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_result(json.loads(line, parse_constant=_no_constant)))
        except (ValueError, TypeError, RecursionError) as e:
            raise InvalidArtifact(f"{path}:{number}: not a result ({e})") from e
    return rows


_COLUMNS: dict[str, Any] = {"str": str, "float": (int, float), "str | None": (str, type(None))}
"""The values that a column's annotation allows."""


def _result(said: Any) -> ResultRow:
    row = ResultRow(**said)
    for column in fields(ResultRow):
        value = getattr(row, column.name)
        if not isinstance(value, _COLUMNS[str(column.type)]) or isinstance(value, bool):
            raise ValueError(f"{column.name}: expected {column.type}, got {quote(value)}")
    parts = PurePosixPath(row.audio or "audio/").parts
    if parts[0] != "audio" or ".." in parts:  # the listening page holds what it leads to
        raise ValueError(f"audio: expected a path below audio/, got {quote(row.audio)}")
    return row


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")
