"""The table of a study: what each cell scored, and whether it differs from the first cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from areca.evaluation.columns import Column, by_metric, columns_of, is_scored_alike, notes_on, show
from areca.evaluation.report import Table
from areca.evaluation.results import OUTPUT, ResultRow
from areca.registry.registry import Registry
from areca.statistics import RESAMPLES, SIGNIFICANT, TEST_SEED, grouped

HEADER = ("task", "output", "judge", "source", "cell", "n")
BySeed = Mapping[int, Sequence[ResultRow]]


def comparison(results: Mapping[str, BySeed], registry: Registry | None = None) -> Table:
    """Return the scores of cells: a line for each task, output, judge, source and cell.

    Args:
        results: rows by cell and seed. The first cell is the baseline that the others are tested against.
        registry: where the metrics are found; None: among the installed plugins.
    """
    everything = [row for seeds in results.values() for rows in seeds.values() for row in rows]
    columns = columns_of(everything, registry or Registry.discover())
    baseline, unpaired = next(iter(results), ""), Counter[str]()
    lines = [
        (*key, cell, *_scores(columns, by_seed, cells.get(baseline, {}) if cell != baseline else None, cell, unpaired))
        for key, cells in _groups(results, columns).items()
        for cell, by_seed in cells.items()
    ]
    headers = (column.header for column in columns.values())
    return Table("Comparison", (*HEADER, *headers), lines, tuple(_notes(columns, baseline, len(results), unpaired)))


def _groups(
    results: Mapping[str, BySeed], columns: Mapping[str, Column]
) -> dict[tuple[str, ...], dict[str, dict[int, list[ResultRow]]]]:
    groups: dict[tuple[str, ...], dict[str, dict[int, list[ResultRow]]]] = {}
    for cell, seeds in results.items():
        for seed, rows in seeds.items():
            for row in rows:
                if row.of == OUTPUT and row.metric in columns:
                    key = (row.task, row.field, row.judge or "", row.source or "")
                    groups.setdefault(key, {}).setdefault(cell, {}).setdefault(seed, []).append(row)
    return groups


def _scores(
    columns: Mapping[str, Column], by_seed: BySeed, baseline: BySeed | None, cell: str, unpaired: Counter[str]
) -> Iterator[str]:
    """Yield how many answers there are, then the score under each metric, compared with the baseline's."""
    of_seeds = {seed: by_metric(rows) for seed, rows in by_seed.items()}
    yield str(sum(max(map(len, rows.values())) for rows in of_seeds.values()))
    of_baseline = {seed: by_metric(rows) for seed, rows in (baseline or {}).items()}
    alone = 0
    for label, column in columns.items():
        mine, theirs = (
            {seed: of_metric[label] for seed, of_metric in seeds.items() if label in of_metric}
            for seeds in (of_seeds, of_baseline)
        )
        shown = _score(column, [mine.get(seed, []) for seed in of_seeds])
        if shown and baseline is not None:
            pair = _Pair.of(mine, theirs)
            shown, alone = shown + pair.difference(column), max(alone, pair.alone)
        yield shown
    unpaired[cell] += alone


def _score(column: Column, of_seeds: Sequence[Sequence[ResultRow]]) -> str:
    together = [row for rows in of_seeds for row in rows]
    if column.metric is None or not all(of_seeds):
        return column.cell(together) if all(of_seeds) else ""
    found = column.estimate(together, [_question(row) for row in together])
    if found is None:
        return ""
    alone = (column.estimate(rows) for rows in of_seeds)
    each = " ".join(f"{column.scale * estimate.value:.1f}" for estimate in alone if estimate)
    return f"{show(found, column.scale)} ({each})"


def _question(row: ResultRow) -> tuple[str, str]:
    return row.id, row.reference  # a dataset that draws its values may ask for another one under the same id


@dataclass(frozen=True, slots=True)
class _Pair:
    """Answers of two cells to the same questions under the same seeds.

    Args:
        baseline: results of the baseline.
        other: results of the other cell, in the same order.
        alone: number of answers that only one of the cells has.
    """

    baseline: Sequence[ResultRow]
    other: Sequence[ResultRow]
    alone: int

    @classmethod
    def of(cls, mine: BySeed, theirs: BySeed) -> _Pair:
        one, other = (
            {(seed, *_question(row)): row for seed, rows in of.items() for row in rows} for of in (theirs, mine)
        )
        shared = [key for key in one if key in other]
        return cls([one[key] for key in shared], [other[key] for key in shared], len(one.keys() ^ other.keys()))

    def difference(self, column: Column) -> str:
        """Return the p-value of the difference; nothing where the cells were not scored in one way."""
        if column.metric is None or not is_scored_alike([*self.baseline, *self.other]):
            return ""
        questions = [_question(row) for row in self.baseline]  # answers under several seeds are drawn together
        one, other = (grouped([row.counts for row in rows], questions) for rows in (self.baseline, self.other))
        p = column.metric.paired_p(one, other)
        return f", p = {p:.3f}" if p < SIGNIFICANT else f", n.s. (p = {p:.2f})"


def _notes(columns: Mapping[str, Column], baseline: str, cells: int, unpaired: Counter[str]) -> Iterator[str]:
    yield (
        "In brackets: 95 % intervals over the questions of all seeds, by bootstrap. Where no question returns under "
        "another seed, a metric's own interval is used (Wilson's for exact matches). In parentheses: each seed's score."
    )
    if cells > 1:
        yield (
            f"p: of the difference to `{baseline}` on the same questions, by paired bootstrap resampling (Koehn 2004; "
            f"{RESAMPLES:,} samples, seed {TEST_SEED}). n.s.: not significant, p >= {SIGNIFICANT}. p-values are not "
            "corrected for the number of comparisons."
        )
    for cell, alone in unpaired.items():
        if alone:
            yield f"`{cell}`: its tests leave out {alone} answers to questions that only one of the two cells has."
    yield from notes_on(columns)
