"""``areca config NAME``: a component's options as YAML to paste into a run."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from areca.cli import common
from areca.component import Component, Kind
from areca.options import describe

_PLACES = {
    Kind.TOKENIZER: "tokenizer:",
    Kind.BACKBONE: "backbone:",
    Kind.VOCODER: "vocoder:",
    Kind.DATASET: "data:",
    Kind.TASK: "tasks:",
}
"""Where a run's YAML has a component of each kind."""


def config(name: common.Name, kind: common.OfKind = None) -> None:
    """Print a component's options, with their defaults and docs, as YAML to paste into a run."""
    component = common.find(common.registry(), name, kind).component
    lines = [f"name: {name}", *_needs(component), *_options(component)]
    place = _PLACES.get(component.kind)
    if place:
        print(place)
        first = "- " if component.kind is Kind.TASK else "  "
        print(first + textwrap.indent("\n".join(lines), "  ")[2:])
    else:
        print("\n".join(lines))


def _needs(component: Component) -> Iterator[str]:
    for need, kind in component.needs.items():
        yield f"# a {kind}, by its role or as {{name: ...}}; may be left out where the run has only one"
        yield f"# {need}: {{name: ...}}"


def _options(component: Component) -> Iterator[str]:
    for option in describe(component.config):
        doc = " ".join(option.doc.split())
        yield from textwrap.wrap(doc, 100, initial_indent="# ", subsequent_indent="# ")
        if option.required:
            yield f"{option.name}: ???  # must be given: {option.type}"
        else:
            yield f"{option.name}: {common.as_yaml(option.default)}"
