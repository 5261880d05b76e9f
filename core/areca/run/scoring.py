"""The metrics and the normaliser that an evaluation names, resolved. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from areca.component import Kind
from areca.errors import InvalidConfig, MissingDependency
from areca.options import read_mapping
from areca.registry.parts import Part, choose
from areca.registry.registry import Registry


def metric_parts(registry: Registry, wanted: Sequence[Any]) -> list[Part]:
    """Resolve the entries of ``evaluation.metrics``.

    Args:
        registry: the components to choose from.
        wanted: for each metric its name, or ``{name: bleu, tokenize: char}``, which may be YAML text.

    Raises:
        UnknownComponent, AmbiguousComponent, InvalidConfig: a name or an option is wrong, or a metric is named twice.
        MissingDependency: a metric's packages are not installed.
    """
    parts = [_part(registry, Kind.METRIC, value, "evaluation.metrics") for value in wanted]
    known: list[dict[str, Any]] = []
    for part in parts:
        if (identity := part.identity()) in known:
            raise InvalidConfig(f"evaluation.metrics: {part.name!r} is named twice with the same options; name it once")
        known.append(identity)
    return parts


def normaliser_part(registry: Registry, wanted: Any) -> Part:
    """Resolve ``evaluation.normaliser``; `wanted` and errors as of one entry of `metric_parts`."""
    return _part(registry, Kind.NORMALISER, wanted, "evaluation.normaliser")


def check_scoring(registry: Registry, evaluation: Mapping[str, Any]) -> None:
    """Check the metrics and the normaliser that a run's ``evaluation:`` names; errors as of `metric_parts`.

    What it does not name is not looked up: a run that is only trained needs no metric.
    """
    if "metrics" in evaluation:
        metric_parts(registry, evaluation["metrics"])
    if "normaliser" in evaluation:
        normaliser_part(registry, evaluation["normaliser"])


def as_mapping(wanted: Any, option: str) -> Any:
    """Return what an option says of a component as a mapping: ``bleu`` becomes ``{name: bleu}``; YAML text is read."""
    if isinstance(wanted, str):
        return read_mapping(wanted, option) if wanted.lstrip().startswith("{") else {"name": wanted}
    return wanted


def _part(registry: Registry, kind: Kind, wanted: Any, option: str) -> Part:
    part = choose(registry, kind, as_mapping(wanted, option), option=option)
    if missing := part.entry.missing():
        raise MissingDependency(f"{option}: {part.label} {part.entry.describe_missing(missing)}")
    return part
