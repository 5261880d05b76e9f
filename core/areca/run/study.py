"""Read a study: variants of one run along several axes, each trained and evaluated with several seeds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from areca.errors import InvalidConfig, quote
from areca.files.names import sanitize_folder_name
from areca.files.yaml_text import read_yaml
from areca.options import build
from areca.run.config import RunConfig, parse_config


@dataclass(frozen=True, slots=True)
class _StudyKeys:
    """The keys of a study's YAML."""

    base: str
    axes: dict[str, Any] = field(default_factory=dict)
    all: Any = None
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of axis values with one seed.

    Args:
        label: the names of the values, in the order of the axes.
        seed: seed of the run.
        run: the complete run.
    """

    label: str
    seed: int
    run: RunConfig

    @property
    def folder(self) -> str:
        """Name of the folder for the results, valid for any label."""
        return sanitize_folder_name(self.label.replace(", ", "+"))


def read_study(path: Path, *, plugins: Sequence[str] = ()) -> list[Cell]:
    """Read a study and resolve all its cells, so that errors are reported before any work.

    Args:
        path: the YAML file. Its keys are ``base``, the path of a run's YAML relative to the study's folder; ``all``,
            changes for every cell; ``axes``, ``{axis: {value: changes}}``, each combination of values is a cell; and
            ``seeds``.
        plugins: local plugins to load.

    Returns:
        the cells, by combination and seed.

    Raises:
        InvalidConfig, UnknownComponent, IncompatibleParts: the study or one of its runs is invalid.
    """
    layout = build(_StudyKeys, read_yaml(path), f"study {path}")
    if not layout.axes or not layout.seeds or len(set(layout.seeds)) < len(layout.seeds):
        raise InvalidConfig(f"study {path}: expected at least one axis, and one or more seeds without repetition")
    # Apply the common changes, then those of each combination.
    base = path.parent / layout.base
    common = merge_changes(read_yaml(base), _require_mapping(layout.all or {}, f"study {path}: all"))
    root = base.resolve().parent
    cells = [
        Cell(label, seed, parse_config({**merge_changes(common, change), "seed": seed}, root=root, plugins=plugins))
        for label, change in _combine_axes(layout.axes, f"study {path}: axes")
        for seed in layout.seeds
    ]
    # Different cells must have different folders and different runs.
    for one, other in itertools.combinations(cells, 2):
        if one.label != other.label and one.folder == other.folder:
            raise InvalidConfig(
                f"study {path}: {quote(one.label)} and {quote(other.label)} have the same folder; rename a value"
            )
        if one.run.source == other.run.source:
            raise InvalidConfig(
                f"study {path}: {quote(one.label)} and {quote(other.label)} are the same run; change one of them"
            )
    return cells


def _combine_axes(axes: Mapping[str, Any], label: str) -> Iterator[tuple[str, dict[str, Any]]]:
    values_by_axis = [list(_require_mapping(values, f"{label}.{axis}").items()) for axis, values in axes.items()]
    for values in itertools.product(*values_by_axis):
        change: dict[str, Any] = {}
        for name, value in values:
            change = merge_changes(change, _require_mapping(value or {}, f"{label}: {name}"))
        yield ", ".join(str(name) for name, _ in values), change


def _require_mapping(value: Any, label: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidConfig(f"{label}: expected a mapping, got {quote(value)}")
    return value


def merge_changes(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `change` applied: mappings are merged key by key, other values are replaced.

    A part whose name changes is replaced as a whole, because its options belong to another component.

    Example:
        >>> merge_changes({"lm": {"reads": "speech"}}, {"lm": {"train": "lora"}})
        {'lm': {'reads': 'speech', 'train': 'lora'}}
    """
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            same_part = "name" not in value or value["name"] == old.get("name", value["name"])
            result[key] = merge_changes(old, value) if same_part else value
        else:
            result[key] = value
    return result
