"""Let a system answer rows of a manifest, in batches, each row once however often the work is interrupted."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from areca.audio import write
from areca.errors import ArecaWarning, InvalidConfig, InvalidManifest, TextLost
from areca.evaluation.folder import file_name
from areca.evaluation.journal import Journal
from areca.files.writing import explained
from areca.generation.requests import Result, Sound
from areca.interfaces import Progress, no_progress
from areca.languages import known_code, language_code
from areca.manifest import Manifest, Utterance
from areca.options import file_hash
from areca.run.options import Decoding, EvaluationConfig
from areca.tasks import Task


class System(Protocol):
    """What is evaluated; `areca.system.System` is one."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks and chains that it was trained for."""

    def task(self, name: str) -> Task:
        """Return a task, or a chain of tasks joined by ``+``."""

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
        """Answer recordings or texts of one pair of languages."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the system answered to one row.

    Args:
        task: the task or chain.
        id: of the row.
        texts: by output field.
        audio: where the speech is, from the evaluation's folder; None: there is none.
        compute_s: seconds it took; of rows answered together, each its share.
        speech_s: seconds of speech; 0 where there is none.
        cut: whether a segment was ended by its limit.
        audio_sha256: of the file of the speech; None where there is none.
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
        """What tells its speech from all other recordings that a judge hears, that of another answer to it included."""
        return f"{self.audio}#{self.audio_sha256}"


def answers_journal(path: Path) -> Journal[Answer]:
    """Open the log of answers, by task and row."""
    return Journal(path, Answer, dataclasses.asdict, lambda answer: (answer.task, answer.id))


def forget_damaged(journal: Journal[Answer], directory: Path) -> None:
    """Forget the answers whose speech is missing or changed, with a warning each: they are asked for again."""
    for answer in [answer for answer in journal if answer.audio is not None]:
        path = directory / str(answer.audio)
        found = file_hash(path) if path.is_file() else None
        if found != answer.audio_sha256:
            happened = "missing" if found is None else "changed since it was written"
            warnings.warn(f"{path}: {happened}; row {answer.id!r} is answered again", ArecaWarning, stacklevel=2)
            journal.forget([(answer.task, answer.id)])


def choose(
    manifest: Manifest, split: str, sources: Sequence[str], languages: Sequence[str], limit: int | None, seed: int
) -> list[Utterance]:
    """Return rows of a split, at most `limit` of each source and language.

    They are drawn by a hash of seed and id: a larger limit adds rows to those of a smaller one.

    Raises:
        InvalidManifest: there are none.
        InvalidConfig: a language that is none.
    """
    codes = {language_code(language) for language in languages}
    rows = [
        row
        for row in manifest.select(split=split).rows
        if (not sources or row.source in sources) and (not codes or known_code(row.language) in codes)
    ]
    if not rows:
        raise InvalidManifest(f"{manifest.root}: split {split!r} has no row of {sources or 'any source'}, {languages}")
    groups: dict[Any, list[Utterance]] = {}
    for row in rows:
        groups.setdefault((row.source, known_code(row.language)), []).append(row)
    chosen = {row.id for group in groups.values() for row in sorted(group, key=lambda r: _draw(seed, r.id))[:limit]}
    return [row for row in rows if row.id in chosen]


def _draw(seed: int, row_id: str) -> str:
    return hashlib.sha256(f"{seed}:{row_id}".encode()).hexdigest()


def answer_rows(
    system: System,
    manifest: Manifest,
    name: str,
    rows: Sequence[Utterance],
    journal: Journal[Answer],
    directory: Path,
    config: EvaluationConfig,
    progress: Progress = no_progress,
) -> None:
    """Answer the rows that are not in the journal yet; speech goes to ``audio/<task>/<id>.flac`` in `directory`.

    One question is asked in advance and its answer thrown away, so that every time that is noted is a warm one.
    """
    left = [row for row in rows if (name, row.id) not in journal]
    if not left:
        return
    groups: dict[tuple[str | None, str | None], list[Utterance]] = {}
    for row in left:
        groups.setdefault((row.language, row.target_language), []).append(row)
    field = system.task(name).inputs[0].path
    done = len(rows) - len(left)
    warm = False
    with _one_warning(TextLost):
        for (source, target), group in groups.items():
            for start in range(0, len(group), config.batch):
                some = group[start : start + config.batch]
                items = [_question(manifest, row, field) for row in some]
                if not warm:
                    system.answer(name, items[:1], source=source, target=target, decoding=config.decoding, batch=1)
                    warm = True
                results = system.answer(
                    name, items, source=source, target=target, decoding=config.decoding, batch=len(items)
                )
                journal.add([_keep(directory, name, row, r) for row, r in zip(some, results, strict=True)])
                done += len(some)
                progress(done, len(rows), name)


@contextmanager
def _one_warning(category: type[Warning]) -> Iterator[None]:
    """Show the first warning of `category` only: every batch would have one of its own."""
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


def _question(manifest: Manifest, row: Utterance, field: str) -> Sound:
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
            raise InvalidConfig(f"cannot evaluate a task that reads {field}: expected one recording or text")


def _keep(directory: Path, name: str, row: Utterance, result: Result) -> Answer:
    path, sha256, speech_s = None, None, 0.0
    if result.audio is not None:
        path = f"audio/{name}/{file_name(row.id, '.flac')}"
        with explained(directory / path):
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
        write(directory / path, result.audio)
        sha256, speech_s = file_hash(directory / path), result.audio.seconds
    return Answer(name, row.id, dict(result.texts), path, result.seconds, speech_s, result.cut, sha256)
