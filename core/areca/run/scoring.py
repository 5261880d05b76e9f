"""Resolve the metrics and the normaliser that an evaluation names. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from areca.component import Kind
from areca.errors import InvalidConfig, MissingDependency
from areca.options import read_mapping
from areca.registry.parts import Part, choose
from areca.registry.registry import Registry


def resolve_metrics(registry: Registry, wanted: Sequence[Any]) -> list[Part]:
    """Resolve the entries of ``evaluation.metrics``.

    Args:
        registry: the components to choose from.
        wanted: for each metric its name, or ``{name: bleu, tokenize: char}``, which may be YAML text.

    Raises:
        UnknownComponent, AmbiguousComponent, InvalidConfig: a name or an option is wrong, or a metric is named twice.
        MissingDependency: a metric's packages are not installed.
    """
    parts = [_resolve(registry, Kind.METRIC, value, "evaluation.metrics") for value in wanted]
    known: list[dict[str, Any]] = []
    for part in parts:
        if (identity := part.identity()) in known:
            raise InvalidConfig(f"evaluation.metrics: {part.name!r} is named twice with the same options; name it once")
        known.append(identity)
    return parts


def resolve_normaliser(registry: Registry, wanted: Any) -> Part:
    """Resolve ``evaluation.normaliser``; `wanted` and errors are those of one entry of `resolve_metrics`."""
    return _resolve(registry, Kind.NORMALISER, wanted, "evaluation.normaliser")


def check_scoring(registry: Registry, evaluation: Mapping[str, Any]) -> None:
    """Check the metrics and the normaliser that a run's ``evaluation:`` names; errors are those of `resolve_metrics`.

    Defaults are not looked up, because a run that is only trained needs no metric.
    """
    if "metrics" in evaluation:
        resolve_metrics(registry, evaluation["metrics"])
    if "normaliser" in evaluation:
        resolve_normaliser(registry, evaluation["normaliser"])


def to_mapping(wanted: Any, option: str) -> Any:
    """Return an option that names a component as a mapping: ``bleu`` becomes ``{name: bleu}``; YAML text is parsed."""
    if isinstance(wanted, str):
        return read_mapping(wanted, option) if wanted.lstrip().startswith("{") else {"name": wanted}
    return wanted


def _resolve(registry: Registry, kind: Kind, wanted: Any, option: str) -> Part:
    part = choose(registry, kind, to_mapping(wanted, option), option=option)
    if missing := part.entry.missing():
        raise MissingDependency(f"{option}: {part.label} {part.entry.describe_missing(missing)}")
    return part
