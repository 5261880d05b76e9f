"""Parts: components resolved from YAML, with what they need and what they say of themselves. Still light."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from areca.component import Kind
from areca.errors import ArecaError, IncompatibleParts, InvalidConfig, clipped, quote, suggest
from areca.options import build, canonical, key_of
from areca.registry.entry import LOCAL, Entry
from areca.registry.registry import Registry
from areca.specs import Spec


@dataclass(frozen=True, slots=True)
class Part:
    """A component chosen, configured and joined to what it needs.

    Args:
        role: what the run calls it, as ``"speech"``.
        entry: the component and where it came from.
        config: an instance of the component's config dataclass.
        needs: the parts it is built on, by the component's names for them.
        spec: what it says of itself.
    """

    role: str
    entry: Entry
    config: Any
    needs: Mapping[str, Part]
    spec: Spec

    @property
    def name(self) -> str:
        """The component's name."""
        return self.entry.component.name

    @property
    def label(self) -> str:
        """Kind and name, as ``tokenizer usm-v2``."""
        return f"{self.entry.component.kind} {self.name}"

    @property
    def is_trained(self) -> bool:
        """Whether this part itself is trained from data."""
        return "fit" in self.entry.component.tags

    def walk(self) -> Iterator[Part]:
        """Yield what it needs, deepest first, then itself."""
        for need in self.needs.values():
            yield from need.walk()
        yield self

    def identity(self) -> dict[str, Any]:
        """Return what the part is apart from its needs and its data: component, revision and options.

        Code that is not installed is named by its text too: research changes it without raising its revision.
        """
        component = self.entry.component
        identity = {
            "component": f"{component.kind}:{self.entry.qualified}",
            "revision": component.revision,
            "config": canonical(self.config),
        }
        if self.entry.provider.distribution == LOCAL:
            identity["code"] = self.entry.code()
        return identity

    def inputs(self, data_key: str | None, seed: int) -> dict[str, Any]:
        """Return what identifies the part as made, before any work: the preimage of its key.

        Raises:
            InvalidConfig: the part is trained, and there is no data to train it from.
        """
        inputs = self.identity() | {"needs": {name: need.key(data_key, seed) for name, need in self.needs.items()}}
        if self.is_trained:
            inputs["seed"] = seed
        if self.is_trained and self.entry.component.kind != Kind.DATASET:  # a dataset is where data comes from
            if data_key is None:
                raise InvalidConfig(f"{self.entry.component.kind} {self.name!r} is trained from data: give `data:`")
            inputs["data"] = data_key
        return inputs

    def key(self, data_key: str | None, seed: int) -> str:
        """Return the hash of `inputs`."""
        return key_of(self.inputs(data_key, seed))


def resolve(
    registry: Registry,
    kind: str,
    value: Any,
    *,
    role: str,
    roles: Mapping[str, Part] | None = None,
    root: Path | None = None,
    seed: int = 0,
) -> Part:
    """Make a part of what YAML says.

    Args:
        registry: the components there are.
        kind: the interface wanted.
        value: ``{name: ..., option: ..., need: role or part}``.
        role: what the run calls the part.
        roles: parts that a need may name.
        root: folder that relative paths among the options start from; None: the working directory.
        seed: of the run, which options declared by `areca.run_seed` have unless they are written.

    Raises:
        InvalidConfig: no name, a misspelt or wrong option, a need left out or naming a role that is not there.
        UnknownComponent, AmbiguousComponent: the name does not find one component.
        IncompatibleParts: a need lacks a tag, or the component's spec refuses what it needs.
    """
    where = f"{kind} {quote(role)}" if role != kind else str(kind)
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        names = ", ".join(e.component.name for e in registry.entries(kind))
        raise InvalidConfig(f"{where}: expected '{{name: ...}}', got {quote(value)}\n  installed: {names or 'none'}")
    entry = registry.find(kind, value["name"])
    where = f"{kind} {entry.component.name!r}"
    needs = {
        need: _need(registry, where, f"{role}.{need}", need_kind, value.get(need), roles or {}, root, seed)
        for need, need_kind in entry.component.needs.items()
    }
    _require_tags(registry, entry, needs)
    seeds = {f.name: seed for f in fields(entry.component.config) if f.metadata.get("run_seed")}
    options = {k: v for k, v in value.items() if k != "name" and k not in needs}
    config = build(entry.component.config, seeds | options, where, root=root)
    return Part(role, entry, config, needs, _spec(entry, config, needs))


def choose(registry: Registry, kind: str, value: Any, *, option: str, root: Path | None = None, seed: int = 0) -> Part:
    """Resolve an option that names a component.

    Args:
        registry: the components to choose from.
        kind: the kind of the component.
        value: ``"cosine"``, or ``{name: cosine, cycles: 2}``.
        option: where the value is written, as ``"training.schedule"``; errors name it.
        root: as of `resolve`.
        seed: as of `resolve`.

    Raises:
        InvalidConfig, UnknownComponent, AmbiguousComponent, IncompatibleParts: as of `resolve`.
    """
    return resolve(
        registry, kind, {"name": value} if isinstance(value, str) else value, role=option, root=root, seed=seed
    )


def _need(
    registry: Registry,
    where: str,
    role: str,
    kind: str,
    value: Any,
    roles: Mapping[str, Part],
    root: Path | None,
    seed: int,
) -> Part:
    mine = {name: part for name, part in roles.items() if part.entry.component.kind == kind}
    need = role.rpartition(".")[2]
    if value is None and len(mine) == 1:  # there is nothing to choose
        return next(iter(mine.values()))
    if value is None:
        known = f"a role ({clipped(', '.join(mine))}) or " if mine else ""
        raise InvalidConfig(f"{where} needs {need!r}: give {known}a {kind} as {{name: ...}}")
    if not isinstance(value, str):
        return resolve(registry, kind, value, role=role, roles=roles, root=root, seed=seed)
    if value not in mine:
        roles_known = clipped(", ".join(mine)) or "none"
        raise InvalidConfig(
            f"{where}, {need}: no {kind} has the role {quote(value)}{suggest(value, mine)}\n  roles: {roles_known}"
        )
    return mine[value]


def _require_tags(registry: Registry, entry: Entry, needs: Mapping[str, Part]) -> None:
    for need, tags in entry.component.needs_tags.items():
        part = needs[need]
        if lacking := sorted(tags - part.entry.component.tags):
            kind = part.entry.component.kind
            able = [e.component.name for e in registry.entries(kind) if tags <= e.component.tags]
            raise IncompatibleParts(
                f"{entry.component.kind} {entry.component.name!r}, {need}: {part.name!r} has no tag "
                f"{' or '.join(lacking)}; those that have: {', '.join(able) or 'none'}"
            )


def _spec(entry: Entry, config: Any, needs: Mapping[str, Part]) -> Spec:
    try:
        return entry.spec(config, {name: need.spec for name, need in needs.items()})
    except ArecaError:
        raise
    except ValueError as e:  # a spec that refuses its options or what it is built on
        raise IncompatibleParts(f"{entry.component.kind} {entry.component.name!r}: {e}") from e
