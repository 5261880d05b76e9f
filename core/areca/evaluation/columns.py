"""The columns of a report: one for each metric in the results, scored from the counts that the results hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from areca.errors import ArecaError, InvalidArtifact, summarise
from areca.evaluation.results import ResultRow
from areca.evaluation.scoring import OpenMetric, open_metrics
from areca.registry.registry import Registry
from areca.statistics import Estimate

HINT = "name its plugin: areca -p ./PLUGIN.py report DIR"


@dataclass(frozen=True, slots=True)
class Column:
    """A metric of a report.

    Args:
        label: label of the metric in the results.
        metric: the loaded metric; None: it is not available.
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

    @property
    def digits(self) -> int:
        """Digits after the decimal point where its scores are shown."""
        return self.metric.spec.digits if self.metric else 1

    @property
    def fault(self) -> bool:
        """Whether its metric finds a fault."""
        return self.metric is not None and self.metric.spec.fault

    def estimate(self, rows: Sequence[ResultRow], questions: Sequence[Any] | None = None) -> Estimate | None:
        """Return the score of `rows` together; None: there are none, or they were scored in different ways."""
        if self.metric is None or not is_scored_alike(rows):
            return None
        return self.metric.corpus([row.counts for row in rows], questions)

    def cell(self, rows: Sequence[ResultRow]) -> str:
        """Return the score of `rows` together with its interval; without the metric, the mean of their scores."""
        if self.metric is None and is_scored_alike(rows):
            return f"{sum(row.value for row in rows) / len(rows):.3g}"
        estimate = self.estimate(rows)
        return "" if estimate is None else format_estimate(estimate, self.scale, self.digits)


def build_columns(rows: Iterable[ResultRow], registry: Registry) -> dict[str, Column]:
    """Return the columns of results by label, in the order in which the results first name them.

    If a metric is not installed, or has another revision than in the results, its column shows only the mean of the
    examples' scores.
    """
    first: dict[str, ResultRow] = {}
    for row in rows:
        if row.component:
            first.setdefault(row.metric, row)
    return {label: _open_column(label, row, registry) for label, row in first.items()}


def group_by_metric(rows: Iterable[ResultRow]) -> dict[str, list[ResultRow]]:
    """Return `rows` by the label of their metric."""
    groups: dict[str, list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(row.metric, []).append(row)
    return groups


def is_scored_alike(rows: Sequence[ResultRow]) -> bool:
    """Return whether the counts of `rows` may be added up: all rows have one metric, signature and normaliser."""
    return len({(row.metric, row.signature, row.normaliser) for row in rows}) == 1


def format_estimate(estimate: Estimate, scale: float = 1.0, digits: int = 1) -> str:
    """Return an estimate as ``"87.5 [83.9, 90.4]"``."""
    value, low, high = (f"{scale * x:.{digits}f}" for x in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def _open_column(label: str, row: ResultRow, registry: Registry) -> Column:
    try:
        [metric] = open_metrics(registry, [dict(row.component)])
        _check_revision(metric, row)
    except ArecaError as error:
        return Column(label, None, summarise(error))
    return Column(label, metric)


def _check_revision(metric: OpenMetric, row: ResultRow) -> None:
    stored, installed = (signature.partition("|")[0] for signature in (row.signature, metric.component_signature))
    if stored != installed:
        raise InvalidArtifact(
            f"scored by {stored}, installed is {installed}: repeat the `areca evaluate` that scored it"
        )


def describe_columns(columns: Mapping[str, Column]) -> Iterable[str]:
    """Yield notes for a table: whether higher or lower scores are better, and which metrics are not available."""
    for direction, higher in (("Higher is", True), ("Lower is", False), ("Neither higher nor lower is", None)):
        headers = [c.header for c in columns.values() if c.metric and c.metric.spec.higher_is_better is higher]
        if headers:
            yield f"{direction} better: {', '.join(headers)}."
    for column in columns.values():
        if column.metric is None:
            yield (
                f"`{column.label}`: the mean of the examples' scores, because its metric is not available "
                f"({column.missing}). Install it, or {HINT}"
            )
