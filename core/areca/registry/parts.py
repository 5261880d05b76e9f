"""Parts of a run: components resolved from YAML, with their configs, needs and specs. Imports no heavy dependency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from areca.component import Kind
from areca.errors import ArecaError, IncompatibleParts, InvalidConfig, quote, shorten, suggest
from areca.options import build, canonical, key_of
from areca.registry.entry import LOCAL, Entry
from areca.registry.registry import Registry
from areca.specs import Spec, Tagged


@dataclass(frozen=True, slots=True)
class Part:
    """A configured component with its needs.

    Args:
        role: name of the part in the run, like ``"speech"``.
        entry: the component and its plugin.
        config: an instance of the component's config dataclass.
        needs: the parts that it depends on, by the component's names for them.
        spec: the component's spec for this config and these needs, with the component's tags if it is `Tagged`.
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
        """Kind and name, like ``tokenizer usm-v2``."""
        return f"{self.entry.component.kind} {self.name}"

    @property
    def tags(self) -> frozenset[str]:
        """The component's capabilities with this config and these needs, see `areca.component.TAGS`."""
        return self.spec.tags if isinstance(self.spec, Tagged) else frozenset(self.entry.component.tags)

    @property
    def is_trained(self) -> bool:
        """Whether this part, without its needs, is trained from data."""
        return "fit" in self.entry.component.tags

    def walk(self) -> Iterator[Part]:
        """Yield the part and all its needs, deepest first."""
        for need in self.needs.values():
            yield from need.walk()
        yield self

    def identity(self) -> dict[str, Any]:
        """Return the component, revision and options: the part's key inputs without its needs and data.

        For a local plugin they include a hash of its code, because its author may change it without a new revision.
        """
        component = self.entry.component
        identity = {
            "component": f"{component.kind}:{self.entry.qualified}",
            "revision": component.revision,
            "config": canonical(self.config),
        }
        if self.entry.provider.distribution == LOCAL:
            identity["code"] = self.entry.code_hash()
        return identity

    def inputs(self, data_key: str | None, seed: int) -> dict[str, Any]:
        """Return the inputs of the part's artifact key, which are known before any work.

        Args:
            data_key: key of the training data; None: no data.
            seed: seed of the run; it enters the key only if the part is trained.

        Raises:
            InvalidConfig: the part is trained and `data_key` is None.
        """
        inputs = self.identity() | {"needs": {name: need.key(data_key, seed) for name, need in self.needs.items()}}
        if self.is_trained:
            inputs["seed"] = seed
        if self.is_trained and self.entry.component.kind != Kind.DATASET:  # a dataset is built without other data
            if data_key is None:
                raise InvalidConfig(f"{self.entry.component.kind} {self.name!r} is trained from data: give `data:`")
            inputs["data"] = data_key
        return inputs

    def key(self, data_key: str | None, seed: int) -> str:
        """Return the part's artifact key, the hash of `inputs`."""
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
    """Resolve a part from its YAML value.

    Args:
        registry: the available components.
        kind: kind of the component.
        value: ``{name: ..., option: ..., need: role or part}``.
        role: name of the part in the run.
        roles: parts that a need may refer to, by role.
        root: base folder of relative paths in the options; None: the working directory.
        seed: seed of the run, the default of options declared with `areca.component.run_seed`.

    Returns:
        the part, with all needs resolved and its spec computed.

    Raises:
        InvalidConfig: the name is missing, an option is unknown or invalid, or a need is missing or refers to an
            unknown role.
        UnknownComponent, AmbiguousComponent: the name does not identify one component.
        IncompatibleParts: a need has no required tag, or the component's spec function rejects a need.
    """
    label = f"{kind} {quote(role)}" if role != kind else str(kind)
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        names = ", ".join(e.component.name for e in registry.entries(kind))
        raise InvalidConfig(f"{label}: expected '{{name: ...}}', got {quote(value)}\n  installed: {names or 'none'}")
    entry = registry.find(kind, value["name"])
    label = f"{kind} {entry.component.name!r}"
    needs = {
        need: _resolve_need(registry, label, f"{role}.{need}", need_kind, value.get(need), roles or {}, root, seed)
        for need, need_kind in entry.component.needs.items()
    }
    for need, tags in entry.component.needs_tags.items():
        require_tags(registry, needs[need], tags, f"{label}, {need}")
    seeds = {f.name: seed for f in fields(entry.options()) if f.metadata.get("run_seed")}
    options = {k: v for k, v in value.items() if k != "name" and k not in needs}
    config = build(entry.options(), seeds | options, label, root=root)
    return Part(role, entry, config, needs, _compute_spec(entry, config, needs))


def choose(registry: Registry, kind: str, value: Any, *, option: str, root: Path | None = None, seed: int = 0) -> Part:
    """Resolve an option that names a component.

    Args:
        registry: the available components.
        kind: kind of the component.
        value: ``"cosine"``, or ``{name: cosine, cycles: 2}``.
        option: dotted name of the option, like ``"training.schedule"``, for messages.
        root: as in `resolve`.
        seed: as in `resolve`.

    Raises:
        InvalidConfig, UnknownComponent, AmbiguousComponent, IncompatibleParts: as in `resolve`.
    """
    return resolve(
        registry, kind, {"name": value} if isinstance(value, str) else value, role=option, root=root, seed=seed
    )


def _resolve_need(
    registry: Registry,
    label: str,
    role: str,
    kind: str,
    value: Any,
    roles: Mapping[str, Part],
    root: Path | None,
    seed: int,
) -> Part:
    candidates = {name: part for name, part in roles.items() if part.entry.component.kind == kind}
    need = role.rpartition(".")[2]
    if value is None and len(candidates) == 1:  # the only candidate is the default
        return next(iter(candidates.values()))
    known = shorten(", ".join(candidates))
    if value is None:
        choice = f"a role ({known}) or " if candidates else ""
        raise InvalidConfig(f"{label} needs {need!r}: give {choice}a {kind} as {{name: ...}}")
    if not isinstance(value, str):
        return resolve(registry, kind, value, role=role, roles=roles, root=root, seed=seed)
    if value not in candidates:
        hint = suggest(value, candidates)
        raise InvalidConfig(f"{label}, {need}: no {kind} has the role {quote(value)}{hint}\n  roles: {known or 'none'}")
    return candidates[value]


def require_tags(registry: Registry, part: Part, tags: frozenset[str], where: str) -> None:
    """Refuse a part whose component lacks some of `tags`; `where` says who needs them.

    Raises:
        IncompatibleParts: a tag is missing; the message lists the components that have all of them.
    """
    if missing := sorted(tags - part.tags):
        able = [e.component.name for e in registry.entries(part.entry.component.kind) if tags <= e.component.tags]
        raise IncompatibleParts(
            f"{where}: {part.name!r} has no tag {' or '.join(missing)}; components with it: {', '.join(able) or 'none'}"
        )


def _compute_spec(entry: Entry, config: Any, needs: Mapping[str, Part]) -> Spec:
    try:
        spec = entry.spec(config, {name: need.spec for name, need in needs.items()})
        return replace(spec, tags=spec.tags | entry.component.tags) if isinstance(spec, Tagged) else spec
    except ArecaError:
        raise
    except ValueError as e:  # the spec function rejects its options or needs
        raise IncompatibleParts(f"{entry.component.kind} {entry.component.name!r}: {e}") from e
