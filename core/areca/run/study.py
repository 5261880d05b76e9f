"""A study: one run, changed along axes, each combination trained and evaluated under several seeds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from areca.errors import InvalidConfig, quote
from areca.files.writing import folder_name
from areca.files.yaml_text import read_yaml
from areca.options import build
from areca.run.config import RunConfig, parse_config


@dataclass(frozen=True, slots=True)
class _Layout:
    """The keys of a study's YAML."""

    base: str
    axes: dict[str, Any] = field(default_factory=dict)
    all: Any = None
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of an axis's values, under one seed.

    Args:
        label: the values' names, in the order of the axes.
        seed: of all that is made for it.
        run: the whole run.
    """

    label: str
    seed: int
    run: RunConfig

    @property
    def folder(self) -> str:
        """The name of the folder of its results, whatever its values are called."""
        return folder_name(self.label.replace(", ", "+"))


def read_study(path: Path, *, plugins: Sequence[str] = ()) -> list[Cell]:
    """Return a study's cells, every one of them resolved and checked: what is wrong is said before any work.

    Args:
        path: the YAML: ``base``, a run's YAML, from the study's folder; ``all``, changes to it in every cell; ``axes``,
            ``{axis: {value: changes}}``, of which each combination is a cell; ``seeds``.
        plugins: files or modules to load.

    Raises:
        InvalidConfig, UnknownComponent, IncompatibleParts: what is wrong, and what to type.
    """
    layout = build(_Layout, read_yaml(path), f"study {path}")
    if not layout.axes or not layout.seeds or len(set(layout.seeds)) < len(layout.seeds):
        raise InvalidConfig(f"study {path}: expected at least one axis, and seeds of which each is named once")
    base = path.parent / layout.base
    common = merged(read_yaml(base), _changes(layout.all or {}, f"study {path}: all"))
    root = base.resolve().parent
    cells = [
        Cell(label, seed, parse_config({**merged(common, change), "seed": seed}, root=root, plugins=plugins))
        for label, change in _combinations(layout.axes, f"study {path}: axes")
        for seed in layout.seeds
    ]
    for one, other in itertools.combinations(cells, 2):
        if one.label != other.label and one.folder == other.folder:
            raise InvalidConfig(
                f"study {path}: {quote(one.label)} and {quote(other.label)} have one folder; rename a value"
            )
        if one.run.source == other.run.source:
            raise InvalidConfig(
                f"study {path}: {quote(one.label)} and {quote(other.label)} are the same run; change one of them"
            )
    return cells


def _combinations(axes: Mapping[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    of_axes = [list(_changes(values, f"{where}.{axis}").items()) for axis, values in axes.items()]
    for values in itertools.product(*of_axes):
        change: dict[str, Any] = {}
        for name, value in values:
            change = merged(change, _changes(value or {}, f"{where}: {name}"))
        yield ", ".join(str(name) for name, _ in values), change


def _changes(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidConfig(f"{where}: expected a mapping, got {quote(value)}")
    return value


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `change` over it, key by key; a part of another name takes the place of the whole part."""
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            same_part = "name" not in value or value["name"] == old.get("name", value["name"])
            result[key] = merged(old, value) if same_part else value
        else:
            result[key] = value
    return result
