"""The table of a study: what each cell scored, over its seeds together and under each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from areca.evaluation.report import COLUMNS, SHARES, Table, by_metric, metric_of, read_as, show
from areca.evaluation.results import OUTPUT, ResultRow

HEADER = ("task", "output", "judge", "source", "cell", "n")
SHOWN = {name: COLUMNS[name] for name in ("exact", "wer", "cer", "bleu")}


def comparison(results: Mapping[str, Mapping[int, Sequence[ResultRow]]]) -> Table:
    """Return the scores of `results`, rows by cell and seed: a line for each task, source and cell."""
    groups: dict[tuple[str, ...], dict[str, dict[int, list[ResultRow]]]] = {}
    for cell, seeds in results.items():
        for seed, rows in seeds.items():
            for row in rows:
                if row.of == OUTPUT and row.metric in SHOWN:
                    key = (row.task, row.field, row.judge or "", row.source or "")
                    groups.setdefault(key, {}).setdefault(cell, {}).setdefault(seed, []).append(row)
    lines = [
        (*key, cell, *_scores(by_seed.values())) for key, cells in groups.items() for cell, by_seed in cells.items()
    ]
    notes = (
        "In brackets: 95 % intervals over the questions of all seeds, by bootstrap, or of Wilson for exact matches "
        "where no question returns under another seed; behind them the score under each seed.",
    )
    return Table("Comparison", (*HEADER, *SHOWN.values()), lines, notes)


def _scores(by_seed: Iterable[Sequence[ResultRow]]) -> Iterable[str]:
    """Yield how many answers there are, then their scores; nothing where they were not scored in one way."""
    of_seeds = [by_metric(rows) for rows in by_seed]
    yield str(sum(max(map(len, rows.values())) for rows in of_seeds))
    for name in SHOWN:
        yield _score([rows.get(name, []) for rows in of_seeds])


def _score(of_seeds: Sequence[Sequence[ResultRow]]) -> str:
    together = [row for rows in of_seeds for row in rows]
    metric = metric_of(together)
    if metric is None or not all(of_seeds):
        return ""
    scale = 100.0 if metric.name in SHARES else 1.0
    read = [[(read_as(row, row.hypothesis), read_as(row, row.reference)) for row in rows] for rows in of_seeds]
    # Data that is drawn may ask another value under the same id.
    questions = [(row.id, row.reference) for row in together]
    alone = " ".join(f"{scale * metric.corpus(pairs).value:.1f}" for pairs in read)
    return f"{show(metric.corpus([pair for pairs in read for pair in pairs], questions), scale)} ({alone})"
