"""``areca config NAME``: a component's options as YAML to paste into a run."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from areca.cli import common
from areca.component import Component
from areca.options import Option, list_options


def config(name: common.Name, kind: common.OfKind = None) -> None:
    """Print a component's options, with their defaults and docs, as YAML to paste into a run."""
    entry = common.find_component(common.registry(), name, kind)
    component = entry.component
    lines = [f"name: {name}", *_format_needs(component), *_format_options(list_options(entry.options()))]
    print(_place(entry.kind.place or "", "\n".join(lines)))


def _place(place: str, text: str) -> str:
    """Return `text` below the keys of `place`, as ``"lm: pattern:"`` or, in a list, ``"tasks: -"``."""
    for key in reversed(place.split()):
        if key == "-":
            text = "- " + textwrap.indent(text, "  ")[2:]
        else:
            text = f"{key}\n{text}" if text.startswith("- ") else f"{key}\n{textwrap.indent(text, '  ')}"
    return text


def _format_needs(component: Component) -> Iterator[str]:
    for need, kind in component.needs.items():
        yield f"# a {kind}: its role, or {{name: ...}}; may be left out if the run has only one"
        yield f"# {need}: {{name: ...}}"


def _format_options(options: Iterable[Option]) -> Iterator[str]:
    for option in options:
        doc = " ".join(option.doc.split())
        yield from textwrap.wrap(doc, 100, initial_indent="# ", subsequent_indent="# ")
        if option.required:
            yield f"{option.name}: ???  # must be given: {option.type}"
        else:
            yield f"{option.name}: {common.to_yaml(option.default)}"
