"""The table of a study: the scores of each cell, and whether they differ from those of the first cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from areca.evaluation.columns import (
    Column,
    build_columns,
    describe_columns,
    format_estimate,
    group_by_metric,
    is_scored_alike,
)
from areca.evaluation.report import Table
from areca.evaluation.results import OUTPUT, ResultRow
from areca.registry.registry import Registry
from areca.statistics import RESAMPLES, SIGNIFICANT, TEST_SEED, sum_groups

HEADER = ("task", "output", "judge", "source", "cell", "n")
BySeed = Mapping[int, Sequence[ResultRow]]


def compare_cells(results: Mapping[str, BySeed], registry: Registry | None = None, *, faults: bool = False) -> Table:
    """Return a table of the scores of cells: a line for each task, output, judge, source and cell.

    Args:
        results: rows by cell and seed. The first cell is the baseline: the others are tested against it.
        registry: the available metrics; None: those of the installed plugins.
        faults: whether to show the metrics that find faults, instead of all others.
    """
    everything = [row for seeds in results.values() for rows in seeds.values() for row in rows]
    columns = build_columns(everything, registry or Registry.discover())
    columns = {label: column for label, column in columns.items() if column.fault is faults}
    baseline, unpaired = next(iter(results), ""), Counter[str]()
    lines = [
        (
            *key,
            cell,
            *_score_cell(columns, by_seed, cells.get(baseline, {}) if cell != baseline else None, cell, unpaired),
        )
        for key, cells in _group_rows(results, columns).items()
        for cell, by_seed in cells.items()
    ]
    headers = (column.header for column in columns.values())
    return Table(
        "Faults" if faults else "Comparison",
        (*HEADER, *headers),
        lines,
        tuple(_describe_table(columns, baseline, len(results), unpaired)),
    )


def compare_losses(losses: Mapping[str, Mapping[int, Mapping[str, Mapping[str, float]]]]) -> Table:
    """Return a table of the validation losses of cells: a line for each task and cell, a column for each stream.

    Args:
        losses: nats a code, by cell, seed, task and stream.
    """
    found = [loss for seeds in losses.values() for tasks in seeds.values() for loss in tasks.values()]
    streams = list(dict.fromkeys(name for loss in found for name in loss))
    tasks = dict.fromkeys(task for seeds in losses.values() for of_seed in seeds.values() for task in of_seed)
    lines = []
    for task in tasks:
        for cell, seeds in losses.items():
            of_seeds = [of_seed[task] for of_seed in seeds.values() if task in of_seed]
            lines.append((task, cell, *(_format_losses([x[name] for x in of_seeds if name in x]) for name in streams)))
    note = "nats a code on the validation split; text includes the controls; then the loss under each seed"
    return Table("Validation loss", ("task", "cell", *streams), lines, (note,))


def _format_losses(values: Sequence[float]) -> str:
    if not values:
        return ""
    each = f" ({' '.join(f'{value:.3f}' for value in values)})" if len(values) > 1 else ""
    return f"{sum(values) / len(values):.3f}{each}"


def _group_rows(
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


def _score_cell(
    columns: Mapping[str, Column], by_seed: BySeed, baseline: BySeed | None, cell: str, unpaired: Counter[str]
) -> Iterator[str]:
    """Yield the number of answers, then the score under each metric, compared with that of `baseline`."""
    of_seeds = {seed: group_by_metric(rows) for seed, rows in by_seed.items()}
    yield str(sum(max(map(len, rows.values())) for rows in of_seeds.values()))
    of_baseline = {seed: group_by_metric(rows) for seed, rows in (baseline or {}).items()}
    unpaired_answers = 0  # answers that the tests of a metric leave out, at most
    for label, column in columns.items():
        rows, baseline_rows = (
            {seed: of_metric[label] for seed, of_metric in seeds.items() if label in of_metric}
            for seeds in (of_seeds, of_baseline)
        )
        shown = _score_column(column, [rows.get(seed, []) for seed in of_seeds])
        if shown and baseline is not None:
            pair = _Pair.of(baseline_rows, rows)
            shown, unpaired_answers = shown + pair.difference(column), max(unpaired_answers, pair.unpaired)
        yield shown
    unpaired[cell] += unpaired_answers


def _score_column(column: Column, of_seeds: Sequence[Sequence[ResultRow]]) -> str:
    together = [row for rows in of_seeds for row in rows]
    if column.metric is None or not all(of_seeds):
        return column.cell(together) if all(of_seeds) else ""
    estimate = column.estimate(together, [_identify_question(row) for row in together])
    if estimate is None:
        return ""
    by_seed = (column.estimate(rows) for rows in of_seeds)
    values = " ".join(f"{column.scale * one.value:.{column.digits}f}" for one in by_seed if one)
    return f"{format_estimate(estimate, column.scale, column.digits)} ({values})"


def _identify_question(row: ResultRow) -> tuple[str, str]:
    return row.id, row.reference  # a dataset with random values may have another question under the same id


@dataclass(frozen=True, slots=True)
class _Pair:
    """Answers of two cells to the same questions under the same seeds.

    Args:
        baseline: results of the baseline.
        other: results of the other cell, in the same order.
        unpaired: number of answers that only one of the cells has.
    """

    baseline: Sequence[ResultRow]
    other: Sequence[ResultRow]
    unpaired: int

    @classmethod
    def of(cls, baseline: BySeed, other: BySeed) -> _Pair:
        """Pair the results of two cells under one metric."""
        first, second = (
            {(seed, *_identify_question(row)): row for seed, rows in by_seed.items() for row in rows}
            for by_seed in (baseline, other)
        )
        shared = [key for key in first if key in second]
        return cls([first[key] for key in shared], [second[key] for key in shared], len(first.keys() ^ second.keys()))

    def difference(self, column: Column) -> str:
        """Return the p-value of the difference as text; ``""`` if the cells were scored in different ways."""
        if column.metric is None or not is_scored_alike([*self.baseline, *self.other]):
            return ""
        questions = [_identify_question(row) for row in self.baseline]  # answers under several seeds are drawn together
        one, other = (sum_groups([row.counts for row in rows], questions) for rows in (self.baseline, self.other))
        p = column.metric.paired_p(one, other)
        return f", p = {p:.3f}" if p < SIGNIFICANT else f", n.s. (p = {p:.2f})"


def _describe_table(columns: Mapping[str, Column], baseline: str, cells: int, unpaired: Counter[str]) -> Iterator[str]:
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
    for cell, count in unpaired.items():
        if count:
            yield f"`{cell}`: its tests leave out {count} answers to questions that only one of the two cells has."
    yield from describe_columns(columns)
