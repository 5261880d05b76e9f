"""Find plugins, index what they declare, choose one component by name."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from areca import hookspecs
from areca.component import PLUGIN_API, Component, Kind
from areca.errors import AmbiguousComponent, BrokenPlugin, MissingDependency, UnknownComponent, suggest
from areca.importing import check_hooks, digest_of, import_local, is_installed, traced
from areca.specs import Spec

GROUP = "areca"
LOCAL = "local"
"""Stands for the distribution of a user's own file or module."""


@dataclass(frozen=True, slots=True)
class Provider:
    """The plugin a component comes from, and the distribution the plugin comes from."""

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution}:{self.plugin}"


@dataclass(frozen=True, slots=True)
class Broken:
    """A plugin that cannot be used, and why."""

    provider: Provider
    error: Exception

    def __str__(self) -> str:
        return f"{self.provider} ({self.provider.version}): {type(self.error).__name__}: {self.error}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A component and where it came from."""

    component: Component
    provider: Provider

    @property
    def qualified(self) -> str:
        """``distribution:plugin/name``, a name that only this component has."""
        return f"{self.provider}/{self.component.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that finds this component: bare, by plugin, by distribution and plugin."""
        return (self.component.name, f"{self.provider.plugin}/{self.component.name}", self.qualified)

    def code(self) -> str:
        """Return a hash of the code of the plugin, and of the modules that the component's spec and target are in."""
        component = self.component
        return digest_of((self.provider.plugin, *(ref.partition(":")[0] for ref in (component.spec, component.target))))

    def missing(self) -> tuple[str, ...]:
        """Return the modules it requires that are not installed, without importing any."""
        return tuple(m for m in self.component.requires if not is_installed(m))

    def spec(self, config: Any, needs: Mapping[str, Spec]) -> Spec:
        """Return what the component says of itself under `config`, from its light half.

        Raises:
            BrokenPlugin: the function is not there.
            IncompatibleParts, ValueError: the component refuses its options or what it needs.
        """
        function = self._attribute(self.component.spec)
        return function(config, needs)  # type: ignore[no-any-return]

    def target(self) -> Any:
        """Import and return the class with ``fit`` and ``load``.

        Raises:
            MissingDependency: a module it requires is not installed; the message says what to type.
            BrokenPlugin: its module fails on import, or the class is not there.
        """
        if missing := self.missing():
            raise MissingDependency(f"{self.component.kind} {self.component.name!r} {self.remedy(missing)}")
        return self._attribute(self.component.target)

    def _attribute(self, reference: str) -> Any:
        module, _, name = reference.partition(":")
        try:
            with traced(f"{reference} of {self.qualified}", unless=module in sys.modules):
                return getattr(importlib.import_module(module), name)
        except Exception as e:  # a plugin's own code: anything can happen
            raise BrokenPlugin(f"{self.qualified}: importing {reference!r} failed: {e!r}") from e

    def remedy(self, missing: tuple[str, ...]) -> str:
        """Say what is missing and what to type."""
        return f"needs {', '.join(missing)}, not installed: {self.install_line(missing)}"

    def install_line(self, missing: tuple[str, ...]) -> str:
        """Return the ``pip install`` line that brings what is missing."""
        if self.component.extra and self.provider.distribution != LOCAL:
            return f"pip install '{self.provider.distribution}[{self.component.extra}]'"
        return f"pip install {' '.join(missing)}"


class Registry:
    """Every component of every plugin, by kind and name. Broken plugins are kept as data."""

    def __init__(self) -> None:
        self.broken: tuple[Broken, ...] = ()
        self.plugins: tuple[Provider, ...] = ()
        self._entries: list[Entry] = []
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)

    @property
    def hook(self) -> Any:
        """Call an event of `areca.hookspecs` on every plugin."""
        return self._manager.hook

    @classmethod
    def discover(cls, plugins: Iterable[str] = (), *, root: Path | None = None) -> Registry:
        """Index installed plugins, then the user's own files or modules in `plugins`.

        Args:
            plugins: paths (``./my_codec.py``, relative to `root`) or names of importable modules.
            root: folder that relative paths start from; None: the working directory.

        Raises:
            BrokenPlugin: one of `plugins` cannot be used. An installed plugin that fails is recorded, not raised.
        """
        registry = cls()
        only = os.environ.get("ARECA_PLUGINS")
        wanted = None if only is None else {p.strip() for p in only.split(",")}
        for point in sorted(metadata.entry_points(group=GROUP), key=lambda p: (p.name, p.value)):
            if wanted is None or point.name in wanted:
                registry._load(point)
        for name in plugins:
            registry._load_local(name, root or Path.cwd())
        return registry

    def _load(self, point: metadata.EntryPoint) -> None:
        dist = point.dist
        provider = Provider(point.name, dist.name if dist else "unknown", dist.version if dist else "0")
        try:
            with traced(str(provider)):
                self.register(point.load(), provider)
        except (Exception, SystemExit) as e:  # a third party's code: anything can happen
            self.broken += (Broken(provider, e if isinstance(e, Exception) else BrokenPlugin(f"exits: {e}")),)

    def _load_local(self, name: str, root: Path) -> None:
        try:
            with traced(f"{LOCAL}:{name}"):
                module = import_local(name, root)
                if module not in self._manager.get_plugins():  # named twice, or installed as well
                    self.register(module, Provider(module.__name__, LOCAL, "0"))
        except BrokenPlugin:
            raise
        except (Exception, SystemExit) as e:  # research code: anything can happen
            raise BrokenPlugin(f"plugin {name!r} cannot be used: {e!r}") from e

    def register(self, plugin: ModuleType, provider: Provider) -> None:
        """Add every component that `plugin` declares, or none of them.

        Raises:
            BrokenPlugin: it is written for another plugin API, implements a hook that does not exist, or declares no
                component, something else, or one name twice.
        """
        api = getattr(plugin, "ARECA_PLUGIN_API", None)
        if api != PLUGIN_API:
            said = "states no plugin API" if api is None else f"speaks plugin API {api}"
            raise BrokenPlugin(
                f"{provider} {said}, this areca speaks {PLUGIN_API}: its module needs 'ARECA_PLUGIN_API = {PLUGIN_API}'"
            )
        try:
            self._manager.register(plugin, name=str(provider))
            self._entries += self._declared(plugin, provider)
        except Exception:
            self._manager.unregister(name=str(provider))
            raise
        self.plugins += (provider,)

    def _declared(self, plugin: ModuleType, provider: Provider) -> list[Entry]:
        check_hooks(plugin)
        self._manager.check_pending()  # a misspelt hook is otherwise silently never called
        others = [p for p in self._manager.get_plugins() if p is not plugin]
        groups = self._manager.subset_hook_caller("areca_components", others)()
        entries = [Entry(c, provider) for group in groups for c in group]
        if not entries:
            raise BrokenPlugin(f"{provider} declares no component: implement the hook areca_components")
        seen: set[tuple[Kind, str]] = set()
        for entry in entries:
            if not isinstance(entry.component, Component):
                raise BrokenPlugin(f"{provider} declares {entry.component!r}, which is no areca.Component")
            key = (entry.component.kind, entry.component.name)
            if key in seen:
                raise BrokenPlugin(f"{provider} declares {key[0]} {key[1]!r} twice")
            seen.add(key)
        return entries

    def entries(self, kind: Kind | None = None) -> tuple[Entry, ...]:
        """Return all components, or those of `kind`, sorted by kind and name."""
        rows = (e for e in self._entries if kind is None or e.component.kind is kind)
        return tuple(sorted(rows, key=lambda e: (list(Kind).index(e.component.kind), e.component.name, e.qualified)))

    def find(self, kind: Kind, name: str) -> Entry:
        """Return the one component of `kind` called `name`, ``plugin/name`` or ``distribution:plugin/name``.

        Raises:
            UnknownComponent: nothing has that name; the nearest is suggested and broken plugins are listed.
            AmbiguousComponent: several have it; the names offered resolve.
        """
        found = [e for e in self.entries(kind) if name in e.names]
        if len(found) == 1:
            return found[0]
        if found:
            rows = "\n".join(f"  {e.qualified}  (version {e.provider.version})" for e in found)
            raise AmbiguousComponent(f"{len(found)} plugins provide {kind} {name!r}; write one of\n{rows}")
        names = [e.component.name for e in self.entries(kind)]
        lines = [
            f"no {kind} is called {name!r}{suggest(name, names)}",
            f"  installed: {', '.join(names) or 'none'}",
        ]
        lines += [f"  other kind: there is a {e.component.kind} {name!r}" for e in self.entries() if name in e.names]
        lines += [f"  broken: {b}" for b in self.broken]
        raise UnknownComponent("\n".join(lines))
