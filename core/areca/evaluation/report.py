"""Tables made from results, as Markdown and as a page to listen to."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from areca.errors import InvalidArtifact
from areca.evaluation.curves import curve_figure, read_curves
from areca.evaluation.evaluate import EXAMPLES, question_path
from areca.evaluation.folder import RESULTS, read_identity
from areca.evaluation.listening import Example, Line, Player, listening_page
from areca.evaluation.results import COMPUTE, OUTPUT, SPEECH, TRUTH, ResultRow, read_results
from areca.files.writing import write_text
from areca.languages import language_name
from areca.run.options import Limits
from areca.scoring.bleu_tokenizers import UNSEGMENTED
from areca.scoring.metrics import Estimate, Metric, metrics, ratio, tokenizer_in
from areca.scoring.normalize import find_normaliser

ALL = "all"
COLUMNS = MappingProxyType({"exact": "exact %", "wer": "WER %", "cer": "CER %", "bleu": "BLEU", "chrf": "chrF"})
"""Metric -> the header of its column."""
SCORES = ("task", "output", "judge", "source", "language", "n", *COLUMNS.values())
CEILING = ("ceiling %", "of ceiling %")
SPEED = ("task", "source", "language", "n", "compute s / s of speech", "mean s of speech")
SHARES = ("exact", "wer", "cer")


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its title, the names of its columns, its cells, and what must be known to read it."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: tuple[str, ...]

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [f"## {self.title}", "", _line(self.header), _line(["---"] * len(self.header))]
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes)]) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def show(estimate: Estimate, scale: float = 1.0) -> str:
    """Return an estimate as ``"87.5 [83.9, 90.4]"``."""
    return f"{scale * estimate.value:.1f} [{scale * estimate.low:.1f}, {scale * estimate.high:.1f}]"


def tables(rows: Sequence[ResultRow], *notes: str) -> list[Table]:
    """Return the table of scores, with `notes` of one's own, and, where there is speech, that of speed."""
    scores = _scores(rows)
    made = [dataclasses.replace(scores, notes=(*notes, *scores.notes))]
    if any(row.metric == COMPUTE for row in rows):
        made.append(_speed(rows))
    return made


def _cells(rows: Iterable[ResultRow], key: Callable[[ResultRow], tuple[Any, ...]]) -> dict[Any, list[ResultRow]]:
    """Group rows by key, source and language, the languages of one source also together."""
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


def _scores(rows: Sequence[ResultRow]) -> Table:
    of_output = [row for row in rows if row.of == OUTPUT and row.metric in COLUMNS]
    truths = {(row.task, row.field, row.judge, row.id): row.value for row in rows if _is_exact_truth(row)}
    cells = _cells(of_output, lambda row: (row.task, row.field, row.judge or ""))
    judged = bool(truths)
    lines: list[tuple[str, ...]] = []
    for key, group in cells.items():
        of_metric = by_metric(group)
        scores = (corpus(of_metric.get(name, ())) for name in COLUMNS)
        ceiling = _ceiling(of_metric.get("exact", ()), truths) if judged else ()
        lines.append((*map(str, key), str(max(map(len, of_metric.values()))), *scores, *ceiling))
    return Table("Scores", SCORES + CEILING * judged, lines, _notes(rows, judged))


def by_metric(rows: Iterable[ResultRow]) -> dict[str, list[ResultRow]]:
    """Return `rows` by the name of their metric."""
    groups: dict[str, list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(row.metric, []).append(row)
    return groups


def metric_of(rows: Sequence[ResultRow]) -> Metric | None:
    """Return the metric under which `rows`, all of one name, were scored; None where they are of several, or none."""
    kinds = {(row.metric, tokenizer_in(row.signature)) for row in rows}
    if len(kinds) != 1:
        return None
    [(name, tokenizer)] = kinds
    return metrics(tokenizer).get(name)


def corpus(rows: Sequence[ResultRow]) -> str:
    """Return the score of answers together, of one metric; nothing where they were not scored in one way."""
    metric = metric_of(rows)
    if metric is None:
        return ""
    pairs = [(read_as(row, row.hypothesis), read_as(row, row.reference)) for row in rows]
    return show(metric.corpus(pairs), 100.0 if metric.name in SHARES else 1.0)


def _is_exact_truth(row: ResultRow) -> bool:
    return row.of == TRUTH and row.metric == "exact"


def read_as(row: ResultRow, text: str) -> str:
    """Return `text` as the normaliser of `row` reads it.

    Raises:
        InvalidArtifact: `row` was read by another version of the normaliser.
    """
    return _read(row.normaliser, text, row.text_language or "")


@functools.lru_cache(maxsize=200_000)
def _read(signature: str, text: str, language: str) -> str:
    name, _, version = signature.partition("/")
    normaliser = find_normaliser(name)
    if str(normaliser.version) != version:
        raise InvalidArtifact(
            f"results read by {signature}, this areca has {normaliser.signature}: give the `areca evaluate` that "
            "made them again (nothing is answered twice)"
        )
    return normaliser(text, language)


def _ceiling(group: Sequence[ResultRow], truths: dict[Any, float]) -> tuple[str, str]:
    keys = [(row.task, row.field, row.judge, row.id) for row in group]
    if not keys or not all(key in truths for key in keys):
        return "", ""
    of_truth = [truths[key] for key in keys]
    share = sum(of_truth) / len(of_truth)
    if not share:
        return "0.0", ""
    return f"{100 * share:.1f}", show(ratio([row.value for row in group], of_truth), 100.0)


def _notes(rows: Sequence[ResultRow], judged: bool) -> tuple[str, ...]:
    scored = [row for row in rows if row.metric not in (COMPUTE, SPEECH)]
    notes = ["In brackets: 95 % intervals, of Wilson for exact matches, by bootstrap for the others."]
    notes += [
        f"Answer and reference are both read by `{name}`." for name in dict.fromkeys(r.normaliser for r in scored)
    ]
    if judged:
        notes.append("Ceiling: exact matches of the same judge on the true recordings of the same examples.")
    return (*notes, *_of_scripts(scored), *_signatures(scored))


def _of_scripts(rows: Sequence[ResultRow]) -> Iterable[str]:
    unsegmented = sorted({row.text_language for row in rows if row.text_language} & UNSEGMENTED)
    if unsegmented:
        yield (
            f"{', '.join(f'{language_name(code)} ({code})' for code in unsegmented)}: written without spaces between "
            "words, so CER is the figure to read; WER takes what is between two spaces for a word: a sentence, often."
        )
    if len({tokenizer_in(row.signature) for row in rows if row.metric == "bleu"}) > 1:
        yield "BLEU is left empty where languages come together whose words are told apart differently: see each."


def _signatures(rows: Sequence[ResultRow]) -> Iterable[str]:
    stated = dict.fromkeys((row.metric, row.signature) for row in rows if row.metric in COLUMNS)
    used = [metrics(tokenizer_in(signature))[name].signature for name, signature in stated]
    yield "Signatures: " + ", ".join(f"`{signature}`" for signature in dict.fromkeys(used)) + "."
    if others := [signature for _, signature in stated if signature not in used]:
        yield "Single examples were scored under: " + ", ".join(f"`{signature}`" for signature in others) + "."


def _speed(rows: Sequence[ResultRow]) -> Table:
    speech = {(row.task, row.field, row.id): row.value for row in rows if row.metric == SPEECH}
    lines: list[tuple[str, ...]] = []
    timed = (row for row in rows if row.metric == COMPUTE)
    for (task, source, language), group in _cells(timed, lambda row: (row.task,)).items():
        compute_s = [row.value for row in group]
        speech_s = [speech[row.task, row.field, row.id] for row in group]
        found = ratio(compute_s, speech_s)
        pace = f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
        lines.append((task, source, language, str(len(group)), pace, f"{sum(speech_s) / len(group):.2f}"))
    return Table("Speed", SPEED, lines, ("Wall clock of warm answers, reading of files left out; in batches.",))


def write_report(directory: Path) -> list[Table]:
    """Write ``report.md`` and ``index.html`` beside the results in `directory`.

    Returns:
        The tables that are in both.

    Raises:
        InvalidArtifact: there are no results, or they were read by another version of the normaliser.
    """
    rows = read_results(directory / RESULTS)
    made = tables(rows, *_decoded(directory))
    write_text(directory / "report.md", "\n".join(t.markdown() for t in made))
    figures = [("Training", curve_figure(read_curves(directory)))]
    cells = [(t.title, t.header, t.rows, t.notes) for t in made]
    page = listening_page("Evaluation", cells, examples(rows), directory, figures=figures)
    write_text(directory / "index.html", page)
    return made


def _decoded(directory: Path) -> tuple[str, ...]:
    said = (read_identity(directory) or {}).get("decoding")
    if said is None:
        return ()
    component, limits = said["component"], dataclasses.asdict(Limits())
    options = {**said["config"], **{k: v for k, v in said["limits"].items() if v != limits.get(k)}}
    shown = "".join(f", `{name}: {value}`" for name, value in options.items())
    name = component.rpartition("/")[2]
    return (f"Answers decoded with `{name}`{shown} ({component.partition(':')[2]}, revision {said['revision']}).",)


def examples(rows: Sequence[ResultRow]) -> list[Example]:
    """Return the first judged answers of each task, source and language, each once with what every judge heard."""
    by_answer: dict[str, list[ResultRow]] = {}
    for row in rows:
        if row.audio and row.metric == "exact":
            by_answer.setdefault(row.audio, []).append(row)
    taken: dict[Any, int] = {}
    found = []
    for audio, heard in by_answer.items():
        group = (heard[0].task, heard[0].source, heard[0].language)
        taken[group] = taken.get(group, 0) + 1
        if taken[group] <= EXAMPLES:
            found.append(_example(audio, heard))
    return found


def _example(audio: str, heard: Sequence[ResultRow]) -> Example:
    first = heard[0]
    lines = [Line(f"{row.judge} heard: {row.hypothesis}", row.value == 1.0) for row in heard]
    wanted = Line(f"wanted: {first.reference}")
    players = (Player("question", Path(question_path(first.id)), ()), Player("answer", Path(audio), (wanted, *lines)))
    title = f"{first.task}, {first.source}, {first.language}: {first.id}"
    return Example(title, players, all(row.value == 1.0 for row in heard))
