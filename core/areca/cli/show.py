"""``areca show NAME``: describe a component and its options."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from areca.cli import common
from areca.component import TAGS
from areca.options import Option, list_options
from areca.registry.entry import Entry


def show(name: common.Name, kind: common.OfKind = None) -> None:
    """Describe a component and its options."""
    entry = common.find_component(common.registry(), name, kind)
    print("\n".join([*_describe_facts(entry), "", *_describe_options(entry)]))


def _describe_facts(entry: Entry) -> Iterator[str]:
    component, provider = entry.component, entry.provider
    yield f"{component.kind} {component.name}: {component.summary}"
    yield f"  provider  {entry.qualified}, version {provider.version}"
    yield f"  health    {common.describe_health(entry)}"
    yield f"  revision  {component.revision}"
    if component.paper:
        yield f"  paper     {component.paper}"
    weights = f"; weights: {component.weights_license}" if component.weights_license else ""
    yield f"  licence   {component.stated_license}{weights}"
    for tag in sorted(component.tags):
        yield f"  tag       {tag}: {TAGS.get(tag, 'defined by this plugin')}"
    for need, kind in component.needs.items():
        tags = sorted(component.needs_tags.get(need, ()))
        able = f" with the tag {' and '.join(tags)}" if tags else ""
        yield f"  needs     {need}: a {kind}{able}: its role, or {{name: ...}}"


def _describe_options(entry: Entry) -> Iterator[str]:
    options = list_options(entry.options())
    yield "options" if options else "options: none"
    for option in options:
        yield f"  {option.name}: {option.type}{_describe_default(option)}"
        doc = f"{option.doc} (cannot change results)" if option.runtime else option.doc
        yield textwrap.fill(" ".join(doc.split()), 100, initial_indent="      ", subsequent_indent="      ")


def _describe_default(option: Option) -> str:
    return " (must be given)" if option.required else f" = {common.to_yaml(option.default)}"
