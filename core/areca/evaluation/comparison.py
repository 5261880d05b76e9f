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
        "In brackets: 95 % intervals over the answers of all seeds, of Wilson for exact matches, by bootstrap for the "
        "others; behind them the score under each seed.",
    )
    return Table("Comparison", (*HEADER, *SHOWN.values()), lines, notes)


def _scores(by_seed: Iterable[Sequence[ResultRow]]) -> Iterable[str]:
    of_seeds = [[(read_as(row, row.hypothesis), read_as(row, row.reference)) for row in rows] for rows in by_seed]
    together = [pair for pairs in of_seeds for pair in pairs]
    for name in SHOWN:
        score, scale = metrics()[name].corpus, 100.0 if name in SHARES else 1.0
        alone = " ".join(f"{scale * score(pairs).value:.1f}" for pairs in of_seeds)
        yield f"{show(score(together), scale)} ({alone})"
