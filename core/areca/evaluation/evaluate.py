"""Run a system over a manifest, let judges transcribe its speech, and write one row for each example and metric.

An evaluation's folder holds ``evaluation.json`` (its identity), ``answers.jsonl`` and ``audio/`` (the system's
answers), ``heard.jsonl`` (the judges' transcripts), ``counted.jsonl`` (the counts of metrics that read audio) and
``results.jsonl``, which is computed from the others. The logs only grow; what they hold is computed again only if it
is damaged.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from areca.audio import read, write
from areca.errors import InvalidConfig
from areca.evaluation.answering import Answer, System, answer_rows, discard_damaged, open_answer_journal, select_rows
from areca.evaluation.examples import RowMaker, Scorers, open_count_journal
from areca.evaluation.folder import ANSWERS, COUNTED, HEARD, RESULTS, claim_folder, file_name, record_results
from areca.evaluation.journal import Journal
from areca.evaluation.judging import Clip, open_transcript_journal, transcribe_clips
from areca.evaluation.prompting import Prompting
from areca.evaluation.results import language_of, spoken_fields, truth_of, write_results
from areca.job import Stage, silent
from areca.manifest import Manifest, Utterance
from areca.run.decoding import Decoding
from areca.run.options import EvaluationConfig
from areca.tasks import Field, Task
from areca.types import Audio

EXAMPLES = 4
"""Number of questions of each task, source and language whose recordings are copied for the listening page.

As many more are copied of those whose answers have faults.
"""


def evaluate(
    system: System,
    manifest: Manifest,
    config: EvaluationConfig,
    scorers: Scorers,
    directory: Path,
    *,
    identity: str,
    decoding: Decoding,
    stage: Stage = silent,
) -> Path:
    """Evaluate a system. Finished work in the folder is reused.

    Args:
        system: the system to evaluate.
        manifest: questions and references.
        config: the choice of questions and the batch size. Metrics, normaliser and judges come from `scorers`.
        scorers: the loaded metrics, normaliser and judges.
        directory: the evaluation's folder.
        identity: hash that identifies the system, such as `areca.artifacts.checkpoint.Checkpoint.identity`.
        decoding: how the system answers.
        stage: shows progress.

    Returns:
        The path of ``results.jsonl``, which is written atomically.

    Raises:
        InvalidArtifact: the folder holds another evaluation, or a damaged one.
        StorageError: another process evaluates into the folder, or the disk refuses.
        InvalidConfig, InvalidManifest: there is nothing to evaluate, or the normaliser does not read a language.
        BrokenPlugin: a metric returns something other than finite counts and scores.
    """
    # Choose the questions, and refuse languages that the normaliser does not read.
    plan = _plan_parts(system, manifest, config)
    for part in plan:
        scorers.require(part.task, part.rows)
    prompting = Prompting(manifest, config, system.takes_voice)
    settings = {
        "system": identity,
        "data": manifest.key,
        "decoding": decoding.identity(),
        "batch": config.batch,
        "voice": prompting.identity,
    }
    with claim_folder(directory, settings, {judge.label: json.loads(judge.signature) for judge in scorers.judges}):
        # Answer them.
        answers = open_answer_journal(directory / ANSWERS)
        discard_damaged(answers, directory)
        for part in plan:
            with stage(f"answer {part.name}") as progress:
                answer_rows(
                    system,
                    manifest,
                    part.name,
                    part.rows,
                    answers,
                    directory,
                    config.batch,
                    decoding,
                    prompting,
                    progress,
                )
        # Transcribe spoken answers and their references.
        heard = open_transcript_journal(directory / HEARD)
        clips = [clip for part in plan for clip in _list_clips(part, manifest, answers, directory)]
        for judge in scorers.judges:
            with stage(f"judge {judge.name}") as progress:
                transcribe_clips(judge, clips, heard, config.batch, progress)
        # Score the answers.
        counted = open_count_journal(directory / COUNTED)
        maker = RowMaker(scorers, manifest, directory, answers, heard, counted, prompting, config.batch)
        for part in plan if maker.reads_audio else ():
            with stage(f"score {part.name}") as progress:
                maker.score_recordings(part.task, part.name, part.rows, progress)
        results = [row for part in plan for row in maker.rows(part.task, part.name, part.rows)]
        faulty = {(row.task, row.id) for row in results if row.metric in scorers.faults and row.value > 0}
        _keep_questions(manifest, plan, directory, faulty)
        write_results(directory / RESULTS, results)
        record_results(directory)
    return directory / RESULTS


@dataclass(frozen=True, slots=True)
class _Part:
    """A task, and the rows it is evaluated on."""

    name: str
    task: Task
    rows: Sequence[Utterance]


def _plan_parts(system: System, manifest: Manifest, config: EvaluationConfig) -> list[_Part]:
    rows = select_rows(manifest, config.split, config.sources, config.languages, config.limit, config.seed)
    names = [name.replace(",", "+").replace(" ", "") for name in config.tasks or system.tasks]
    plan = [_Part(name, task, _select_answerable(task, rows)) for name in names for task in [system.task(name)]]
    lacking = [part.name for part in plan if not part.rows]
    if len(lacking) == len(plan) or (lacking and config.tasks):  # by default, tasks without rows are left out
        raise InvalidConfig(f"no row of split {config.split!r} has what {', '.join(lacking)} need")
    return plan


def _select_answerable(task: Task, rows: Sequence[Utterance]) -> list[Utterance]:
    return [row for row in rows if not task.fields_missing(row)]


def _list_clips(part: _Part, manifest: Manifest, answers: Journal[Answer], directory: Path) -> Iterator[Clip]:
    for row in part.rows:
        for field in spoken_fields(part.task):
            language = language_of(row, field) or ""
            answer = answers[part.name, row.id]
            if answer.audio is not None:
                yield Clip(answer.clip, language, partial(read, directory / answer.audio))
            yield Clip(truth_of(row, field), language, partial(_read_reference, manifest, row, field))


def _read_reference(manifest: Manifest, row: Utterance, field: Field) -> Audio:
    return manifest.target_audio(row) if field.path == "target.audio" else manifest.audio(row)


def question_path(row_id: str) -> str:
    """Return the path for the recording of a row's question, relative to the evaluation's folder."""
    return f"audio/question/{file_name(row_id, '.flac')}"


def _keep_questions(manifest: Manifest, plan: Sequence[_Part], directory: Path, faulty: Set[tuple[str, str]]) -> None:
    """Copy the recordings of some questions into the folder, so that the listening page can play them anywhere.

    Args:
        manifest: the data.
        plan: tasks and rows.
        directory: the evaluation's folder.
        faulty: task and id of the answers with faults; as many of these are copied as of the others.
    """
    kept: Counter[tuple[str, str | None, str | None, bool]] = Counter()
    for part in plan:
        for row in part.rows if spoken_fields(part.task) else ():
            group = (part.name, row.source, row.language, (part.name, row.id) in faulty)
            path = directory / question_path(row.id)
            if kept[group] == EXAMPLES or row.audio is None:
                continue
            kept[group] += 1
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path, manifest.audio(row))
