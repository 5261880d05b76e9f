"""Run a system on the rows of a manifest, in batches; an interrupted evaluation keeps its finished rows."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from areca.audio import write
from areca.errors import ArecaWarning, InvalidConfig, InvalidManifest, TextLost
from areca.evaluation.folder import file_name
from areca.evaluation.journal import Journal
from areca.evaluation.prompting import Prompting
from areca.files.writing import wrap_storage_errors
from areca.generation.requests import Result, Sound, get_input_kind
from areca.job import Progress, no_progress
from areca.languages import known_code, language_code
from areca.manifest import Manifest, Utterance
from areca.options import file_hash
from areca.run.decoding import Decoding
from areca.tasks import Task


class System(Protocol):
    """The system under evaluation, for example `areca.system.System`."""

    @property
    def takes_voice(self) -> bool:
        """Whether its vocoder speaks in the voice of a prompt."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks and chains that the system was trained on."""

    def task(self, name: str) -> Task:
        """Return a task, or a chain of task names joined by ``+``."""

    def answer(
        self,
        task: str,
        items: Sequence[Sound],
        *,
        source: str | None,
        target: str | None,
        decoding: Decoding,
        batch: int,
    ) -> list[Result]:
        """Answer recordings or texts of one language pair.

        Args:
            task: name of a task or chain.
            items: the recordings or texts.
            source: language of the inputs; None: not known.
            target: language of the outputs; None: not known.
            decoding: options of decoding.
            batch: number of items to answer at once.
        """


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one row.

    Args:
        task: the task or chain.
        id: id of the row.
        texts: output texts, by field path.
        audio: path of the output speech, relative to the evaluation's folder; None: no speech.
        compute_s: compute time in seconds; rows of one batch share its time equally.
        speech_s: duration of the output speech in seconds; 0 if there is none.
        cut: whether a length limit ended a segment.
        audio_sha256: sha256 of the speech file; None: no speech.
    """

    task: str
    id: str
    texts: dict[str, str]
    audio: str | None
    compute_s: float
    speech_s: float
    cut: bool
    audio_sha256: str | None

    @property
    def clip(self) -> str:
        """Unique name of the speech for judges; another answer to the same row has another name."""
        return f"{self.audio}#{self.audio_sha256}"


def open_answer_journal(path: Path) -> Journal[Answer]:
    """Open the log of answers; its keys are ``(task, row id)``."""
    return Journal(path, Answer, dataclasses.asdict, lambda answer: (answer.task, answer.id))


def discard_damaged(journal: Journal[Answer], directory: Path) -> None:
    """Discard answers whose speech file is missing or changed, with a warning each, so that they are repeated."""
    for answer in [answer for answer in journal if answer.audio is not None]:
        path = directory / str(answer.audio)
        actual = file_hash(path) if path.is_file() else None
        if actual != answer.audio_sha256:
            reason = "missing" if actual is None else "changed since it was written"
            warnings.warn(f"{path}: {reason}; row {answer.id!r} is answered again", ArecaWarning, stacklevel=2)
            journal.forget([(answer.task, answer.id)])


def select_rows(
    manifest: Manifest, split: str, sources: Sequence[str], languages: Sequence[str], limit: int | None, seed: int
) -> list[Utterance]:
    """Select rows of a split, at most `limit` for each source and language.

    A hash of seed and id selects the rows, so a larger limit keeps the rows of a smaller one.

    Args:
        manifest: the rows.
        split: name of the split.
        sources: sources to select; empty: all.
        languages: languages to select, by code or name; empty: all.
        limit: maximum number of rows for each source and language; None: all.
        seed: seed of the selection.

    Raises:
        InvalidManifest: no row matches.
        InvalidConfig: a language is unknown.
    """
    codes = {language_code(language) for language in languages}
    rows = [
        row
        for row in manifest.select(split=split).rows
        if (not sources or row.source in sources) and (not codes or known_code(row.language) in codes)
    ]
    if not rows:
        raise InvalidManifest(
            f"{manifest.name}: split {split!r} has no row with source {' or '.join(sources) or 'any'} and language "
            f"{' or '.join(languages) or 'any'}"
        )
    groups: dict[Any, list[Utterance]] = {}
    for row in rows:
        groups.setdefault((row.source, known_code(row.language)), []).append(row)
    selected = {row.id for group in groups.values() for row in sorted(group, key=lambda r: _rank(seed, r.id))[:limit]}
    return [row for row in rows if row.id in selected]


def _rank(seed: int, row_id: str) -> str:
    return hashlib.sha256(f"{seed}:{row_id}".encode()).hexdigest()


def answer_rows(
    system: System,
    manifest: Manifest,
    name: str,
    rows: Sequence[Utterance],
    journal: Journal[Answer],
    directory: Path,
    batch_size: int,
    decoding: Decoding,
    prompting: Prompting,
    progress: Progress = no_progress,
) -> None:
    """Answer the rows that are not in the journal; speech is written to ``audio/<task>/<id>.flac`` in `directory`.

    Args:
        system: the system under evaluation.
        manifest: the manifest of the rows.
        name: the task or chain.
        rows: the rows.
        journal: finished answers; new ones are added after each batch.
        directory: the evaluation's folder.
        batch_size: number of rows answered at once.
        decoding: how the system answers.
        prompting: chooses the voices of spoken answers.
        progress: receives the number of finished rows after each batch.

    Raises:
        InvalidConfig: the task reads anything but one recording or text.
        StorageError: an answer cannot be written.
    """
    pending = [row for row in rows if (name, row.id) not in journal]
    if not pending:
        return
    # A batch has one language pair.
    groups: dict[tuple[str | None, str | None], list[Utterance]] = {}
    for row in pending:
        groups.setdefault((row.language, row.target_language), []).append(row)
    task = system.task(name)
    get_input_kind(task)  # refuses other tasks
    field = task.question.path
    done = len(rows) - len(pending)
    warm = False
    with _show_once(TextLost):
        for (source, target), group in groups.items():
            for start in range(0, len(group), batch_size):
                batch = group[start : start + batch_size]
                items = [_read_input(manifest, row, field) for row in batch]
                answer = partial(system.answer, name, source=source, target=target, decoding=decoding)
                if not warm:  # the first answer is discarded, so that no recorded time includes the warm-up
                    answer(items[:1], batch=1, **prompting.answer_options(task, batch[:1]))
                    warm = True
                results = answer(items, batch=len(items), **prompting.answer_options(task, batch))
                journal.add([_save(directory, name, row, r) for row, r in zip(batch, results, strict=True)])
                done += len(batch)
                progress(done, len(rows), name)


@contextmanager
def _show_once(category: type[Warning]) -> Iterator[None]:
    """Show only the first warning of `category`, because every batch may issue one."""
    show: Callable[..., None] = warnings.showwarning
    shown = False

    def show_once(message: Any, kind: type[Warning], *where: Any, **more: Any) -> None:
        nonlocal shown
        if not (shown and issubclass(kind, category)):
            show(message, kind, *where, **more)
        shown = shown or issubclass(kind, category)

    once: Any = show_once
    with warnings.catch_warnings():
        warnings.showwarning = once
        yield


def _read_input(manifest: Manifest, row: Utterance, field: str) -> Sound:
    match field:
        case "source.audio":
            return manifest.audio(row)
        case "target.audio":
            return manifest.target_audio(row)
        case "source.text":
            return row.text or ""
        case "target.text":
            return row.target_text or ""
        case _:
            raise InvalidConfig(f"cannot evaluate a task that reads {field}: expected a task that reads audio or text")


def _save(directory: Path, name: str, row: Utterance, result: Result) -> Answer:
    path, sha256, speech_s = None, None, 0.0
    if result.audio is not None:
        path = f"audio/{name}/{file_name(row.id, '.flac')}"
        with wrap_storage_errors(directory / path):
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
        write(directory / path, result.audio)
        sha256, speech_s = file_hash(directory / path), result.audio.seconds
    return Answer(name, row.id, dict(result.texts), path, result.seconds, speech_s, result.cut, sha256)
