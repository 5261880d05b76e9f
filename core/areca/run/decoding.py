"""How answers are decoded: a method chosen by name, and limits on the length of segments. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from areca.component import Kind
from areca.errors import InvalidConfig, quote, shorten, suggest
from areca.options import build, canonical
from areca.registry.parts import Part, choose
from areca.registry.registry import Registry
from areca.run.options import Limits

DEFAULT = "greedy"
"""The method of a decoding that names none."""
_LIMITS = tuple(f.name for f in fields(Limits))


@dataclass(frozen=True, slots=True)
class Decoding:
    """A decoding method, and limits on the segments that it writes. `resolve_decoding` returns one."""

    method: Part
    limits: Limits = field(default_factory=Limits)

    def identity(self) -> dict[str, Any]:
        """Return what answers depend on: component, revision, options and limits."""
        return self.method.identity() | {"limits": canonical(self.limits)}


def resolve_decoding(registry: Registry, value: Any, option: str = "decoding", *, root: Path | None = None) -> Decoding:
    """Resolve a decoding from its YAML value.

    Args:
        registry: the components to choose from.
        value: a method's name, or ``{name: beam, beams: 8, max_text_ids: 100}``: the method's options and the limits;
            without a name, `DEFAULT`.
        option: dotted name of the option, for messages.
        root: folder that relative paths among the options start from; None: the working directory.

    Raises:
        InvalidConfig: an option that does not exist (the nearest is suggested) or has a wrong value.
        UnknownComponent, AmbiguousComponent: the name does not find one method.
    """
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping):
        raise InvalidConfig(f"{option}: expected a method, or {{name: method, option: value}}, got {quote(value)}")
    name = value.get("name", DEFAULT)
    _check_options(registry, name, value, option)
    limits = build(Limits, {k: v for k, v in value.items() if k in _LIMITS}, option)
    rest = {k: v for k, v in value.items() if k not in _LIMITS}
    return Decoding(choose(registry, Kind.DECODING, {**rest, "name": name}, option=option, root=root), limits)


def _check_options(registry: Registry, name: Any, value: Mapping[str, Any], option: str) -> None:
    """Refuse options that neither the method nor the limits have."""
    if "method" in value:
        raise InvalidConfig(f"{option}: no option is called 'method'; write {{name: {shorten(value['method'], 40)}}}")
    if not isinstance(name, str):
        return  # `choose` refuses it
    entry = registry.find(Kind.DECODING, name)
    known = (*(f.name for f in fields(entry.options())), *entry.component.needs, *_LIMITS)
    for key in value:
        if key != "name" and key not in known:
            raise InvalidConfig(
                f"{option}, {entry.component.name}: no option is called {quote(key)}{suggest(str(key), known)}\n"
                f"  options: {', '.join(known)}"
            )
