"""Build result rows as an evaluation does, for tests of their readers."""

from __future__ import annotations

from typing import Any

from areca.component import Kind
from areca.evaluation.results import ResultRow
from areca.evaluation.scoring import OpenMetric, OpenNormaliser, open_metrics, open_normaliser
from areca.registry.registry import Registry
from areca.testing import checks_for
from areca.types import Example, Passage

REGISTRY = Registry.discover()
_IN_NEW_INTERPRETERS = ("check_import_is_light", "check_spec_is_light", "check_missing_dependency")
METRIC_CHECKS = [
    check
    for check in checks_for(REGISTRY.find(Kind.METRIC, "exact").kind)
    if check.__name__ not in _IN_NEW_INTERPRETERS
]
"""The kit's checks of metrics, without the slow ones, which start new interpreters."""
METRICS: dict[str, OpenMetric] = {
    metric.label: metric for metric in open_metrics(REGISTRY, ["exact", "wer", "cer", "bleu", "chrf"])
}
NORMALISERS: dict[str, OpenNormaliser] = {
    name: open_normaliser(REGISTRY, name) for name in ("basic", "spoken-values", "whisper")
}


def example(answer: str, reference: str, language: str | None = None) -> Example:
    return Example(Passage(answer), Passage(reference), language=language)


def scored(
    metric: OpenMetric, hypothesis: str, reference: str, *, normaliser: str = "basic", **other: Any
) -> ResultRow:
    """Return the row of one answer; `other` overrides its columns."""
    normalise, language = NORMALISERS[normaliser], other.get("text_language")
    [counts] = metric.count([example(normalise(hypothesis, language), normalise(reference, language), language)])
    columns: dict[str, Any] = {
        "id": "1",
        "task": "asr",
        "field": "source.text",
        "of": "output",
        "metric": metric.label,
        "value": metric.item(counts),
        "counts": counts,
        "hypothesis": hypothesis,
        "reference": reference,
        "normaliser": normalise.signature,
        "signature": metric.signature(language),
        "component": metric.component,
        "judge": None,
        "language": language,
        "text_language": language,
        "source": "human",
        "audio": None,
    }
    return ResultRow(**columns | other)
