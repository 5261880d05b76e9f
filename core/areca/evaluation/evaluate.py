"""Run a system over a manifest, let judges hear what it says, and write one row per example and metric.

An evaluation's folder holds ``evaluation.json`` (what it is of), ``answers.jsonl`` and ``audio/`` (what the system
answered), ``heard.jsonl`` (what the judges heard) and ``results.jsonl``. The first four only grow, and what is in them
is not done again, unless a disk damaged it; the results follow from them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from areca.audio import read, write
from areca.errors import InvalidConfig
from areca.evaluation.answering import Answer, System, answer_rows, discard_damaged, open_answer_journal, select_rows
from areca.evaluation.folder import ANSWERS, HEARD, RESULTS, claim_folder, file_name, record_results
from areca.evaluation.journal import Journal
from areca.evaluation.judging import Clip, OpenJudge, hear, heard_journal
from areca.evaluation.results import Scoring, language_of, spoken_fields, truth_of, write_results
from areca.interfaces import Stage, silent
from areca.manifest import Manifest, Utterance
from areca.run.decoding import Decoding
from areca.run.options import EvaluationConfig
from areca.scoring.normalize import find_normaliser
from areca.tasks import Field, Task
from areca.types import Audio

EXAMPLES = 4
"""Recordings of each task, source and language that are kept for listening."""
"""Given what is being done, a context that shows how far it is."""


def evaluate(
    system: System,
    manifest: Manifest,
    config: EvaluationConfig,
    judges: Sequence[OpenJudge],
    directory: Path,
    *,
    identity: str,
    decoding: Decoding,
    stage: Stage = silent,
) -> Path:
    """Evaluate; what the folder holds already is not done again.

    Args:
        system: what is evaluated.
        manifest: questions and references.
        config: which of them, and how they are read. Its `judges` and `decoding` are not read.
        judges: open, each under a label of its own.
        directory: where everything goes.
        identity: what tells this system from all others, as `areca.artifacts.checkpoint.Checkpoint.identity`.
        decoding: how the system answers.
        stage: shows progress.

    Returns:
        The path of ``results.jsonl``, written whole or not at all.

    Raises:
        InvalidArtifact: the folder holds an evaluation of something else, or a damaged one.
        StorageError: another process evaluates into the folder, or the disk refuses.
        InvalidConfig, InvalidManifest: there is nothing to evaluate.
    """
    normaliser = find_normaliser(config.normaliser)
    plan = _plan(system, manifest, config)
    for language in sorted({language_of(u, f) or "" for part in plan for u in part.rows for f in part.task.outputs}):
        normaliser("", language)  # refuses a language that it cannot read, before any work
    said = {
        "system": identity,
        "data": manifest.key,
        "decoding": decoding.identity(),
        "batch": config.batch,
    }
    with claim_folder(directory, said, {judge.label: json.loads(judge.signature) for judge in judges}):
        answers = open_answer_journal(directory / ANSWERS)
        discard_damaged(answers, directory)
        for part in plan:
            with stage(f"answer {part.name}") as progress:
                answer_rows(system, manifest, part.name, part.rows, answers, directory, config, decoding, progress)
        heard = heard_journal(directory / HEARD)
        clips = [clip for part in plan for clip in _clips(part, manifest, answers, directory)]
        for judge in judges:
            with stage(f"judge {judge.name}") as progress:
                hear(judge, clips, heard, config.batch, progress)
        _keep_questions(manifest, plan, directory)
        score = Scoring(normaliser, judges, answers, heard, config.bleu_tokenize)
        write_results(
            directory / RESULTS, (r for part in plan for row in part.rows for r in score(part.task, part.name, row))
        )
        record_results(directory)
    return directory / RESULTS


@dataclass(frozen=True, slots=True)
class _Part:
    """A task and the rows that it is asked about."""

    name: str
    task: Task
    rows: Sequence[Utterance]


def _plan(system: System, manifest: Manifest, config: EvaluationConfig) -> list[_Part]:
    rows = select_rows(manifest, config.split, config.sources, config.languages, config.limit, config.seed)
    names = [name.replace(",", "+").replace(" ", "") for name in config.tasks or system.tasks]
    plan = [_Part(name, task, _answerable(task, rows)) for name in names for task in [system.task(name)]]
    lacking = [part.name for part in plan if not part.rows]
    if len(lacking) == len(plan) or (lacking and config.tasks):  # of all tasks, those are meant that can be asked
        raise InvalidConfig(f"no row of split {config.split!r} has what {', '.join(lacking)} need")
    return plan


def _answerable(task: Task, rows: Sequence[Utterance]) -> list[Utterance]:
    return [row for row in rows if not task.fields_missing(row)]


def _clips(part: _Part, manifest: Manifest, answers: Journal[Answer], directory: Path) -> Iterator[Clip]:
    for row in part.rows:
        for field in spoken_fields(part.task):
            language = language_of(row, field) or ""
            answer = answers[part.name, row.id]
            if answer.audio is not None:
                yield Clip(answer.clip, language, partial(read, directory / answer.audio))
            yield Clip(truth_of(row, field), language, partial(_true_audio, manifest, row, field))


def _true_audio(manifest: Manifest, row: Utterance, field: Field) -> Audio:
    return manifest.target_audio(row) if field.path == "target.audio" else manifest.audio(row)


def question_path(row_id: str) -> str:
    """Return where the recording that a row asks about is kept for listening, if it is, from the results' folder."""
    return f"audio/question/{file_name(row_id, '.flac')}"


def _keep_questions(manifest: Manifest, plan: Sequence[_Part], directory: Path) -> None:
    """Copy some recordings beside the answers, so that the folder can be listened to wherever it goes."""
    kept: Counter[tuple[str, str | None, str | None]] = Counter()
    for part in plan:
        for row in part.rows if spoken_fields(part.task) else ():
            group = (part.name, row.source, row.language)
            path = directory / question_path(row.id)
            if kept[group] == EXAMPLES or row.audio is None:
                continue
            kept[group] += 1
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path, manifest.audio(row))
