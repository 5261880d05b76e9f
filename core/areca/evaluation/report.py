"""Build tables from results, and write them as Markdown and as a listening page."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from areca.evaluation.columns import (
    Column,
    build_columns,
    describe_columns,
    format_estimate,
    group_by_metric,
    is_scored_alike,
)
from areca.evaluation.curves import draw_curves, read_curves
from areca.evaluation.evaluate import EXAMPLES, question_path
from areca.evaluation.folder import RESULTS, read_identity
from areca.evaluation.listening import Example, Line, Player, render_page
from areca.evaluation.results import COMPUTE, EXACT, OUTPUT, SPEECH, TRUTH, ResultRow, read_results
from areca.files.writing import write_text
from areca.languages import UNSEGMENTED, language_name
from areca.registry.registry import Registry
from areca.run.options import Limits
from areca.statistics import RESAMPLES, ratio

ALL = "all"
SCORES = ("task", "output", "judge", "source", "language", "n")
"""Columns before those of the metrics."""
CEILING = ("ceiling %", "of ceiling %")
SPEED = ("task", "source", "language", "n", "compute s / s of speech", "mean s of speech")


@dataclass(frozen=True, slots=True)
class Table:
    """A table: title, column names, cells, and notes for its reader."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: tuple[str, ...]

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [f"## {self.title}", "", _format_line(self.header), _format_line(["---"] * len(self.header))]
        lines += [_format_line(row) for row in self.rows]
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes)]) + "\n"


def _format_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def build_tables(rows: Sequence[ResultRow], *notes: str, registry: Registry | None = None) -> list[Table]:
    """Return the table of scores, that of faults if metrics looked for them, and that of speed if answers are spoken.

    Args:
        rows: results.
        notes: notes below the scores, before the table's own notes.
        registry: the available metrics; None: those of the installed plugins.
    """
    columns = build_columns(rows, registry or Registry.discover())
    faults = {label: column for label, column in columns.items() if column.fault}
    scores = _build_scores(rows, {label: column for label, column in columns.items() if label not in faults})
    built = [dataclasses.replace(scores, notes=(*notes, *scores.notes))]
    if faults:
        built.append(dataclasses.replace(_build_scores(rows, faults), title="Faults"))
    if any(row.metric == COMPUTE for row in rows):
        built.append(_build_speed(rows))
    return built


def _group_cells(rows: Iterable[ResultRow], key: Callable[[ResultRow], tuple[Any, ...]]) -> dict[Any, list[ResultRow]]:
    """Group rows by key, source and language; the languages of one source are also grouped together."""
    groups: dict[Any, list[ResultRow]] = {}
    for row in rows:
        groups.setdefault((*key(row), row.source or "", row.language or ""), []).append(row)
    together: dict[Any, list[ResultRow]] = {}
    for (*head, _), of_language in groups.items():
        together.setdefault(tuple(head), []).extend(of_language)
    cells: dict[Any, list[ResultRow]] = {}
    for head, everything in together.items():
        languages = {k: v for k, v in groups.items() if k[:-1] == head}
        cells |= languages
        if len(languages) > 1:
            cells[*head, ALL] = everything
    return cells


def _build_scores(rows: Sequence[ResultRow], columns: Mapping[str, Column]) -> Table:
    of_output = [row for row in rows if row.of == OUTPUT and row.metric in columns]
    exact_truths = [row for row in rows if _is_exact_truth(row) and EXACT in columns]
    truths = {(row.task, row.field, row.judge, row.id): row.value for row in exact_truths}
    cells = _group_cells(of_output, lambda row: (row.task, row.field, row.judge or ""))
    judged = bool(truths)
    lines: list[tuple[str, ...]] = []
    for key, group in cells.items():
        of_metric = group_by_metric(group)
        scores = (column.cell(of_metric.get(label, ())) for label, column in columns.items())
        ceiling = _score_ceiling(of_metric.get(EXACT, ()), truths) if judged else ()
        lines.append((*map(str, key), str(max(map(len, of_metric.values()))), *scores, *ceiling))
    header = (*SCORES, *(column.header for column in columns.values()), *CEILING * judged)
    return Table("Scores", header, lines, _describe_scores(rows, columns, list(cells.values()), judged))


def _is_exact_truth(row: ResultRow) -> bool:
    return row.of == TRUTH and row.metric == EXACT


def _score_ceiling(group: Sequence[ResultRow], truths: dict[Any, float]) -> tuple[str, str]:
    keys = [(row.task, row.field, row.judge, row.id) for row in group]
    if not keys or not all(key in truths for key in keys):
        return "", ""
    of_truth = [truths[key] for key in keys]
    share = sum(of_truth) / len(of_truth)
    if not share:
        return "0.0", ""
    return f"{100 * share:.1f}", format_estimate(ratio([row.value for row in group], of_truth), 100.0)


def _describe_scores(
    rows: Sequence[ResultRow], columns: Mapping[str, Column], cells: Sequence[Sequence[ResultRow]], judged: bool
) -> tuple[str, ...]:
    scored = [row for row in rows if row.metric in columns]
    notes = [
        f"In brackets: 95 % intervals, by bootstrap ({RESAMPLES:,} samples), or as a metric's signature says "
        "(`interval:...`)."
    ]
    normalisers = dict.fromkeys(row.normaliser for row in scored if row.normaliser)
    notes += [f"Answers and references are normalised by `{name}`." for name in normalisers]
    if judged:
        notes.append("Ceiling: exact matches of the same judge on the true recordings of the same examples.")
    notes += [
        *describe_columns(columns),
        *_explain_empty_cells(columns, cells),
        *_explain_scripts(scored),
        *_explain_silent(rows, columns),
    ]
    signatures = dict.fromkeys(row.signature for row in scored)
    return (*notes, "Signatures: " + ", ".join(f"`{signature}`" for signature in signatures) + ".")


def _explain_empty_cells(columns: Mapping[str, Column], cells: Sequence[Sequence[ResultRow]]) -> Iterable[str]:
    groups = [group_by_metric(cell) for cell in cells]
    for label, column in columns.items():
        if any(not is_scored_alike(group[label]) for group in groups if label in group):
            yield f"{column.header} is empty where answers were scored in different ways: see the signatures."


def _explain_scripts(rows: Sequence[ResultRow]) -> Iterable[str]:
    unsegmented = sorted({row.text_language for row in rows if row.text_language} & UNSEGMENTED)
    if unsegmented:
        yield (
            f"{', '.join(f'{language_name(code)} ({code})' for code in unsegmented)}: written without spaces between "
            "words, so read CER; WER takes what is between two spaces for a word, which is often a sentence."
        )


def _explain_silent(rows: Sequence[ResultRow], columns: Mapping[str, Column]) -> Iterable[str]:
    silent = sum(row.metric == COMPUTE and row.audio is None for row in rows)
    of_audio = [c.header for c in columns.values() if c.metric and c.metric.spec.reads == "audio"]
    if silent and of_audio:
        yield f"{silent} answers have no recording: {', '.join(of_audio)} leave them out."


def _build_speed(rows: Sequence[ResultRow]) -> Table:
    speech = {(row.task, row.field, row.id): row.value for row in rows if row.metric == SPEECH}
    lines: list[tuple[str, ...]] = []
    timed = (row for row in rows if row.metric == COMPUTE)
    for (task, source, language), group in _group_cells(timed, lambda row: (row.task,)).items():
        compute_s = [row.value for row in group]
        speech_s = [speech[row.task, row.field, row.id] for row in group]
        estimate = ratio(compute_s, speech_s)
        pace = f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
        lines.append((task, source, language, str(len(group)), pace, f"{sum(speech_s) / len(group):.2f}"))
    return Table("Speed", SPEED, lines, ("Wall clock of warm answers in batches, without the reading of files.",))


def write_report(directory: Path, registry: Registry | None = None) -> list[Table]:
    """Write ``report.md`` and ``index.html`` beside the results in `directory`.

    Args:
        directory: the evaluation's folder.
        registry: the available metrics; None: those of the installed plugins.

    Returns:
        The tables of the report.

    Raises:
        InvalidArtifact: there are no results, or they are damaged.
    """
    rows = read_results(directory / RESULTS)
    built = build_tables(rows, *_describe_decoding(directory), registry=registry)
    write_text(directory / "report.md", "\n".join(t.markdown() for t in built))
    figures = [("Training", draw_curves(read_curves(directory)))]
    cells = [(t.title, t.header, t.rows, t.notes) for t in built]
    faults = [label for label, column in build_columns(rows, registry or Registry.discover()).items() if column.fault]
    page = render_page("Evaluation", cells, choose_examples(rows, faults), directory, figures=figures)
    write_text(directory / "index.html", page)
    return built


def _describe_decoding(directory: Path) -> tuple[str, ...]:
    decoding = (read_identity(directory) or {}).get("decoding")
    if decoding is None:
        return ()
    component, limits = decoding["component"], dataclasses.asdict(Limits())
    options = {**decoding["config"], **{k: v for k, v in decoding["limits"].items() if v != limits.get(k)}}
    shown = "".join(f", `{name}: {value}`" for name, value in options.items())
    name = component.rpartition("/")[2]
    return (f"Answers decoded with `{name}`{shown} ({component.partition(':')[2]}, revision {decoding['revision']}).",)


def choose_examples(rows: Sequence[ResultRow], faults: Collection[str] = ()) -> list[Example]:
    """Return some spoken answers of each task, source and language, with the judges' transcripts.

    Args:
        rows: results.
        faults: labels of the metrics that find faults. The answers with most faults come first.
    """
    found = _find_faults(rows, faults)
    by_answer: dict[str, dict[str | None, ResultRow]] = {}
    for row in sorted(rows, key=lambda row: -len(found.get(row.audio, ()))):
        if row.audio and row.component:
            heard = by_answer.setdefault(row.audio, {})
            if row.judge not in heard or row.metric == EXACT:
                heard[row.judge] = row
    counts: dict[Any, int] = {}
    chosen = []
    for audio, of_judge in by_answer.items():
        first = next(iter(of_judge.values()))
        group = (first.task, first.source, first.language, audio in found)
        counts[group] = counts.get(group, 0) + 1
        if counts[group] <= EXAMPLES:
            heard_by = [row for row in of_judge.values() if row.judge is not None]
            chosen.append(_build_example(audio, first, heard_by, found.get(audio, ())))
    return chosen


def _find_faults(rows: Iterable[ResultRow], faults: Collection[str]) -> dict[str | None, list[str]]:
    """Return the labels of the faults of each answer that has some, by the path of its recording."""
    found: dict[str | None, list[str]] = {}
    for row in rows:
        if row.of == OUTPUT and row.metric in faults and row.value > 0:
            labels = found.setdefault(row.audio, [])
            labels += [row.metric] * (row.metric not in labels)  # several judges may hear it
    found.pop(None, None)
    return found


def _build_example(audio: str, first: ResultRow, heard: Sequence[ResultRow], faults: Sequence[str]) -> Example:
    lines = [Line(f"{row.judge} heard: {row.hypothesis}", _is_right(row)) for row in heard]
    wanted = Line(f"wanted: {first.reference}")
    if faults:
        lines.append(Line(f"faults: {', '.join(faults)}"))
    players = (Player("question", Path(question_path(first.id)), ()), Player("answer", Path(audio), (wanted, *lines)))
    title = f"{first.task}, {first.source}, {first.language}: {first.id}"
    marks = [mark for row in heard if (mark := _is_right(row)) is not None]
    return Example(title, players, all(marks) if marks else None)


def _is_right(row: ResultRow) -> bool | None:
    return row.value == 1.0 if row.metric == EXACT else None
