"""From answers to result rows: build the examples that a metric reads, and collect its counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from areca.audio import conform, read
from areca.evaluation.answering import Answer
from areca.evaluation.journal import Journal
from areca.evaluation.judging import OpenJudge, Transcript
from areca.evaluation.prompting import Prompting
from areca.evaluation.results import COMPUTE, OUTPUT, SPEECH, TRUTH, ResultRow, language_of, truth_of
from areca.evaluation.scoring import OpenMetric, OpenNormaliser
from areca.job import Progress
from areca.languages import known_code
from areca.manifest import Manifest, Utterance
from areca.tasks import Field, Task
from areca.types import Audio, Example, Passage

_Load = Callable[[], Audio]


@dataclass(frozen=True, slots=True)
class Scorers:
    """Everything that scores answers: metrics, the normaliser of texts, and judges, which transcribe spoken answers."""

    metrics: Sequence[OpenMetric]
    normaliser: OpenNormaliser
    judges: Sequence[OpenJudge] = ()

    @property
    def faults(self) -> list[str]:
        """Labels of the metrics that find faults."""
        return [metric.label for metric in self.metrics if metric.spec.fault]

    def require(self, task: Task, rows: Sequence[Utterance]) -> None:
        """Check that the normaliser reads the languages of all texts that metrics compare.

        Raises:
            InvalidConfig: it does not read one of these languages.
        """
        for metric in self.metrics:
            if metric.spec.reads == "text" and metric.spec.normalised:
                fields = [*task.outputs, *(task.inputs[:1] if "question" in metric.spec.inputs else ())]
                languages = {language_of(row, field) for row in rows for field in fields}
                self.normaliser.require(language for language in languages if metric.scores_language(language))


@dataclass(frozen=True, slots=True)
class RecordingCounts:
    """The counts of a metric for one recording.

    Args:
        metric: signature of the metric.
        clip: name of the recording, `Answer.clip`.
        counts: the counts.
    """

    metric: str
    clip: str
    counts: tuple[float, ...]


def open_count_journal(path: Path) -> Journal[RecordingCounts]:
    """Open the log of metrics' counts of recordings; its keys are ``(metric, clip)``."""

    def load(metric: str, clip: str, counts: Sequence[float]) -> RecordingCounts:
        return RecordingCounts(metric, clip, tuple(counts))

    return Journal(path, load, dataclasses.asdict, lambda row: (row.metric, row.clip))


@dataclass(frozen=True, slots=True)
class _Case:
    """One output of one row: the answer, or a judge's transcript of the answer or of the reference recording.

    Args:
        row: the row of the manifest.
        shared: the columns that all its result rows have in common.
        answer: the text.
        clip: name of the answer's recording; None: it has none.
        cut: whether a length limit ended the answer.
        recordings: functions that decode the available recordings, by the input's name in `areca.specs.INPUTS`.
    """

    row: Utterance
    shared: Mapping[str, Any]
    answer: str
    clip: str | None = None
    cut: bool = False
    recordings: Mapping[str, _Load] = dataclasses.field(default_factory=dict)


class RowMaker:
    """Makes the result rows of answered questions.

    Args:
        scorers: metrics, normaliser and judges.
        manifest: questions and references.
        directory: the evaluation's folder, with the recordings of the answers.
        answers: the system's answers.
        heard: the judges' transcripts.
        counted: counts of recordings; new ones are added.
        prompting: the voices of spoken answers.
        batch: number of recordings scored at once.
    """

    def __init__(
        self,
        scorers: Scorers,
        manifest: Manifest,
        directory: Path,
        answers: Journal[Answer],
        heard: Journal[Transcript],
        counted: Journal[RecordingCounts],
        prompting: Prompting,
        batch: int,
    ) -> None:
        self._scorers, self._manifest, self._directory = scorers, manifest, directory
        self._answers, self._heard, self._counted = answers, heard, counted
        self._prompting, self._batch = prompting, batch

    @property
    def reads_audio(self) -> bool:
        """Whether one of the metrics reads audio."""
        return bool(self._metrics_reading("audio"))

    def score_recordings(self, task: Task, name: str, rows: Sequence[Utterance], progress: Progress) -> None:
        """Let the metrics that read audio count the recordings that are not in the log yet."""
        for metric in self._metrics_reading("audio"):
            pending = [
                (case, example)
                for field in task.outputs
                for case in self._list_recorded(task, name, field, rows)
                if (example := self._audio_example(metric, case)) and self._key(metric, case) not in self._counted
            ]
            for start in range(0, len(pending), self._batch):
                batch = pending[start : start + self._batch]
                counts = metric.count([example() for _, example in batch])
                self._counted.add(
                    RecordingCounts(*self._key(metric, case), row) for (case, _), row in zip(batch, counts, strict=True)
                )
                progress(start + len(batch), len(pending), metric.label)

    def rows(self, task: Task, name: str, rows: Sequence[Utterance]) -> Iterator[ResultRow]:
        """Yield a row for each output and metric; for spoken outputs also for each judge, and their times."""
        for field in task.outputs:
            if field.kind == "text":
                yield from self._text_rows(task, self._list_written(name, field, rows))
                continue
            for judge in self._scorers.judges:
                known = [row for row in rows if judge.knows(language_of(row, field))]
                for of in (OUTPUT, TRUTH):
                    yield from self._text_rows(task, [self._build_judged(name, field, row, judge, of) for row in known])
            recorded = self._list_recorded(task, name, field, rows)
            for metric in self._metrics_reading("audio"):
                for case in recorded:
                    if (key := self._key(metric, case)) in self._counted:
                        yield _build_row(metric, case, self._counted[key].counts, "")
            for row in rows:
                yield from _build_time_rows(self._share_columns(name, field, row), self._answers[name, row.id])

    def _metrics_reading(self, reads: str) -> list[OpenMetric]:
        return [metric for metric in self._scorers.metrics if metric.spec.reads == reads]

    def _share_columns(self, name: str, field: Field, row: Utterance, of: str = OUTPUT) -> dict[str, Any]:
        return {
            "id": row.id,
            "task": name,
            "field": field.path,
            "of": of,
            "language": known_code(row.language),
            "text_language": language_of(row, field),
            "source": row.source,
            "reference": _read_text(row, field.path),
            "judge": None,
            "audio": None,
        }

    def _list_written(self, name: str, field: Field, rows: Sequence[Utterance]) -> list[_Case]:
        answers = [self._answers[name, row.id] for row in rows]
        return [
            _Case(row, self._share_columns(name, field, row), answer.texts[field.path], cut=answer.cut)
            for row, answer in zip(rows, answers, strict=True)
        ]

    def _build_judged(self, name: str, field: Field, row: Utterance, judge: OpenJudge, of: str) -> _Case:
        answer, shared = self._answers[name, row.id], self._share_columns(name, field, row, of) | {"judge": judge.label}
        if of == TRUTH:
            return _Case(row, shared, self._heard[judge.label, truth_of(row, field)].text)
        text = "" if answer.audio is None else self._heard[judge.label, answer.clip].text
        return _Case(row, shared | {"audio": answer.audio}, text, cut=answer.cut)

    def _list_recorded(self, task: Task, name: str, field: Field, rows: Sequence[Utterance]) -> list[_Case]:
        """Return the recordings of a spoken output; a text has none."""
        cases = []
        for row in rows if field.kind == "audio" else ():
            answer = self._answers[name, row.id]
            if answer.audio is not None:
                recordings: dict[str, _Load] = {"answer": partial(read, self._directory / answer.audio)}
                recordings |= self._recordings(row, reference=field.path, question=task.question.path)
                if (voice := self._prompting.recording(task, row)) is not None:
                    recordings["voice"] = voice
                shared = self._share_columns(name, field, row) | {"audio": answer.audio}
                cases.append(_Case(row, shared, "", answer.clip, answer.cut, recordings))
        return cases

    def _recordings(self, row: Utterance, **paths: str) -> dict[str, _Load]:
        sides = {True: (row.target_audio, self._manifest.target_audio), False: (row.audio, self._manifest.audio)}
        chosen = {name: sides[path.startswith("target.")] for name, path in paths.items()}
        return {name: partial(load, row) for name, (relative, load) in chosen.items() if relative is not None}

    def _text_rows(self, task: Task, cases: Sequence[_Case]) -> Iterator[ResultRow]:
        for metric in self._metrics_reading("text"):
            pairs = [(case, example) for case in cases if (example := self._text_example(metric, task, case))]
            counts = metric.count([example for _, example in pairs]) if pairs else []
            for (case, _), row in zip(pairs, counts, strict=True):
                yield _build_row(
                    metric, case, row, self._scorers.normaliser.signature if metric.spec.normalised else ""
                )

    def _text_example(self, metric: OpenMetric, task: Task, case: _Case) -> Example | None:
        language, path = case.shared["text_language"], task.question.path
        texts = {
            "answer": (case.answer, language),
            "reference": (case.shared["reference"], language),
            "question": (_read_text(case.row, path), language_of(case.row, task.question)),
        }
        if not metric.scores_language(language) or "voice" in metric.spec.inputs:
            return None
        read = self._scorers.normaliser if metric.spec.normalised else lambda text, language: text
        given = {name: Passage(read(*texts[name])) for name in metric.spec.inputs}
        return Example(**{"answer": Passage(), **given}, language=language, cut=case.cut)

    def _audio_example(self, metric: OpenMetric, case: _Case) -> Callable[[], Example] | None:
        """Return a function that decodes and resamples a metric's inputs; None: the metric does not apply."""
        if not metric.scores_language(language := case.shared["text_language"]):
            return None
        if any(name not in case.recordings for name in metric.spec.inputs):
            return None

        def example() -> Example:
            rate_hz = metric.spec.sample_rate_hz
            assert rate_hz is not None
            given = {n: Passage(audio=conform(case.recordings[n](), rate_hz, 1)) for n in metric.spec.inputs}
            return Example(**{"answer": Passage(), **given}, language=language, cut=case.cut)

        return example

    def _key(self, metric: OpenMetric, case: _Case) -> tuple[str, str]:
        return metric.signature(case.shared["text_language"]), str(case.clip)


def _read_text(row: Utterance, path: str) -> str:
    if path.startswith("extra."):
        return str(row.extra[path.removeprefix("extra.")])
    return (row.target_text if path.startswith("target.") else row.text) or ""


def _build_row(metric: OpenMetric, case: _Case, counts: tuple[float, ...], normaliser: str) -> ResultRow:
    return ResultRow(
        **case.shared,
        metric=metric.label,
        value=metric.item(counts),
        counts=counts,
        hypothesis=case.answer,
        normaliser=normaliser,
        signature=metric.signature(case.shared["text_language"]),
        component=metric.component,
    )


def _build_time_rows(shared: Mapping[str, Any], answer: Answer) -> Iterator[ResultRow]:
    for metric, value in ((COMPUTE, answer.compute_s), (SPEECH, answer.speech_s)):
        yield ResultRow(
            **{**shared, "reference": "", "audio": answer.audio},
            metric=metric,
            value=value,
            counts=(),
            hypothesis="",
            normaliser="",
            signature="wall clock, warm" if metric == COMPUTE else "seconds of audio",
            component={},
        )
