"""The table of a study: what each cell scored, over its seeds together and under each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from areca.evaluation.metrics import metrics
from areca.evaluation.report import SHARES, Table, read_as, show
from areca.evaluation.results import OUTPUT, ResultRow

HEADER = ("task", "output", "judge", "source", "cell", "n")
SHOWN = {"exact": "exact %", "wer": "WER %", "bleu": "BLEU"}


def comparison(results: Mapping[str, Mapping[int, Sequence[ResultRow]]]) -> Table:
    """Return the scores of `results`, rows by cell and seed: a line for each task, source and cell."""
    groups: dict[tuple[str, ...], dict[str, dict[int, list[ResultRow]]]] = {}
    for cell, seeds in results.items():
        for seed, rows in seeds.items():
            for row in rows:
                if row.of == OUTPUT and row.metric == "exact":
                    key = (row.task, row.field, row.judge or "", row.source or "")
                    groups.setdefault(key, {}).setdefault(cell, {}).setdefault(seed, []).append(row)
    lines = [
        (*key, cell, str(sum(map(len, by_seed.values()))), *_scores(by_seed.values()))
        for key, cells in groups.items()
        for cell, by_seed in cells.items()
    ]
    notes = (
        "In brackets: 95 % intervals over the questions of all seeds, by bootstrap, or of Wilson for exact matches "
        "where no question returns under another seed; behind them the score under each seed.",
    )
    return Table("Comparison", (*HEADER, *SHOWN.values()), lines, notes)


def _scores(by_seed: Iterable[Sequence[ResultRow]]) -> Iterable[str]:
    of_seeds = [list(rows) for rows in by_seed]
    read = [[(read_as(row, row.hypothesis), read_as(row, row.reference)) for row in rows] for rows in of_seeds]
    together = [pair for pairs in read for pair in pairs]
    # Data that is drawn may ask another value under the same id.
    questions = [(row.id, row.reference) for rows in of_seeds for row in rows]
    for name, metric in metrics().items():
        if name in SHOWN:
            scale = 100.0 if name in SHARES else 1.0
            alone = " ".join(f"{scale * metric.corpus(pairs).value:.1f}" for pairs in read)
            yield f"{show(metric.corpus(together, questions), scale)} ({alone})"
