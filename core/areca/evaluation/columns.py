"""The columns of a report: one for each metric in the results, scored from the counts that the results hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from areca.errors import ArecaError, InvalidArtifact
from areca.evaluation.results import ResultRow
from areca.evaluation.scoring import OpenMetric, open_metrics
from areca.registry.registry import Registry
from areca.statistics import Estimate

HINT = "name its plugin: areca -p ./PLUGIN.py report DIR"


@dataclass(frozen=True, slots=True)
class Column:
    """A metric of a report.

    Args:
        label: of the metric in the results.
        metric: it, loaded; None where it is not available.
        missing: why it is not available.
    """

    label: str
    metric: OpenMetric | None
    missing: str = ""

    @property
    def header(self) -> str:
        """The title of the column."""
        return self.metric.spec.header if self.metric else f"{self.label} (mean)"

    @property
    def scale(self) -> float:
        """Factor on scores where they are shown."""
        return self.metric.spec.scale if self.metric else 1.0

    def estimate(self, rows: Sequence[ResultRow], questions: Sequence[Any] | None = None) -> Estimate | None:
        """Return the score of `rows` together; None where there are none, or they were not scored in one way."""
        if self.metric is None or not is_scored_alike(rows):
            return None
        return self.metric.corpus([row.counts for row in rows], questions)

    def cell(self, rows: Sequence[ResultRow]) -> str:
        """Return the score of `rows` together with its interval; without the metric, the mean of their scores."""
        if self.metric is None and is_scored_alike(rows):
            return f"{sum(row.value for row in rows) / len(rows):.3g}"
        found = self.estimate(rows)
        return "" if found is None else show(found, self.scale)


def columns_of(rows: Iterable[ResultRow], registry: Registry) -> dict[str, Column]:
    """Return the columns of results by label, in the order in which the results first name them.

    A metric that is not available here, or whose revision is another one than in the results, has only the mean of
    the examples' scores.
    """
    first: dict[str, ResultRow] = {}
    for row in rows:
        if row.component:
            first.setdefault(row.metric, row)
    return {label: _column(label, row, registry) for label, row in first.items()}


def by_metric(rows: Iterable[ResultRow]) -> dict[str, list[ResultRow]]:
    """Return `rows` by the label of their metric."""
    groups: dict[str, list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(row.metric, []).append(row)
    return groups


def is_scored_alike(rows: Sequence[ResultRow]) -> bool:
    """Return whether there are rows, and all have one signature and one normaliser, so that counts may be added up."""
    return len({(row.metric, row.signature, row.normaliser) for row in rows}) == 1


def show(estimate: Estimate, scale: float = 1.0) -> str:
    """Return an estimate as ``"87.5 [83.9, 90.4]"``."""
    return f"{scale * estimate.value:.1f} [{scale * estimate.low:.1f}, {scale * estimate.high:.1f}]"


def _column(label: str, row: ResultRow, registry: Registry) -> Column:
    try:
        [metric] = open_metrics(registry, [dict(row.component)])
        _check_revision(metric, row)
    except ArecaError as error:
        return Column(label, None, str(error).splitlines()[0])
    return Column(label, metric)


def _check_revision(metric: OpenMetric, row: ResultRow) -> None:
    written, here = (signature.partition("|")[0] for signature in (row.signature, metric.stated))
    if written != here:
        raise InvalidArtifact(f"scored by {written}, installed is {here}: repeat the `areca evaluate` that scored it")


def notes_on(columns: Mapping[str, Column]) -> Iterable[str]:
    """Yield which scores are better, and what a reader must know of columns whose metric is not available."""
    for better, which in (("Higher", True), ("Lower", False)):
        headers = [c.header for c in columns.values() if c.metric and c.metric.spec.higher_is_better is which]
        if headers:
            yield f"{better} is better: {', '.join(headers)}."
    for column in columns.values():
        if column.metric is None:
            yield (
                f"`{column.label}`: the mean of the examples' scores, because its metric is not available "
                f"({column.missing}). Install it, or {HINT}"
            )
