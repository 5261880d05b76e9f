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

from areca.component import PLUGIN_API, Component, Kind
from areca.errors import (
    AmbiguousComponent,
    ArecaError,
    BrokenPlugin,
    InvalidConfig,
    MissingDependency,
    UnknownComponent,
    quote,
    suggest,
)
from areca.registry import hooks
from areca.registry.importing import (
    check_hooks,
    digest_of,
    entry_points,
    import_local,
    is_installed,
    traced,
    what_happened,
    where,
)
from areca.specs import SPECS, Spec

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
    error: BaseException

    def __str__(self) -> str:
        return f"{self.provider} ({self.provider.version}): {self.reason}"

    @property
    def reason(self) -> str:
        """What went wrong."""
        return what_happened(self.error)


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
            BrokenPlugin: the function is not there, fails, or returns another kind's spec.
            IncompatibleParts, ValueError: the component refuses its options or what it needs.
        """
        function, reference = self._attribute(self.component.spec), self.component.spec
        try:
            spec = function(config, needs)
        except (ArecaError, ValueError):
            raise
        except Exception as e:  # a plugin's own code: anything can happen
            raise BrokenPlugin(f"{self.qualified}: {reference!r} failed: {what_happened(e)}") from e
        expected = SPECS[self.component.kind]
        if not isinstance(spec, expected):
            raise BrokenPlugin(f"{self.qualified}: {reference!r} returned {quote(spec)}, expected {expected.__name__}")
        return spec

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
            raise BrokenPlugin(f"{self.qualified}: importing {reference!r} failed: {what_happened(e)}") from e

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
        self._override: tuple[str, ...] = ()
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hooks)

    @property
    def hook(self) -> Any:
        """Call an event of `areca.registry.hooks` on every plugin."""
        return self._manager.hook

    @classmethod
    def discover(
        cls, plugins: Iterable[str] = (), *, root: Path | None = None, override: Iterable[str] = ()
    ) -> Registry:
        """Index installed plugins, then the user's own files or modules in `plugins`.

        Args:
            plugins: paths (``./my_codec.py``, relative to `root`) or names of importable modules.
            root: folder that relative paths start from; None: the working directory.
            override: plugins (``my_codec``) or components (``my_codec/mel-rvq``) that win where several plugins
                provide a name; without it, such a name is an error.

        Raises:
            BrokenPlugin: one of `plugins` cannot be used. An installed plugin that fails is recorded, not raised.
            InvalidConfig: nothing is called as `override` says.
        """
        registry = cls()
        only = os.environ.get("ARECA_PLUGINS")
        wanted = None if only is None else {p.strip() for p in only.split(",")}
        points, unreadable = entry_points(GROUP)
        registry.broken += tuple(Broken(Provider("entry_points.txt", *dist), e) for dist, e in unreadable)
        for point in sorted(points, key=lambda p: (p.name, p.value)):
            if wanted is None or point.name in wanted:
                registry._load(point)
        for name in plugins:
            registry._load_local(name, root or Path.cwd())
        registry._let_override(tuple(override))
        return registry

    def _load(self, point: metadata.EntryPoint) -> None:
        dist = point.dist
        provider = Provider(point.name, (dist and dist.name) or "unknown", (dist and dist.version) or "0")
        try:
            with traced(str(provider)):
                self.register(point.load(), provider)
        except KeyboardInterrupt:
            raise
        except BaseException as e:  # a third party's code: anything can happen, SystemExit too
            self.broken += (Broken(provider, BrokenPlugin(f"exits: {e}") if isinstance(e, SystemExit) else e),)

    def _load_local(self, name: str, root: Path) -> None:
        try:
            with traced(f"{LOCAL}:{name}"):
                module = import_local(name, root)
                if module not in self._manager.get_plugins():  # named twice, or installed as well
                    self.register(module, Provider(module.__name__, LOCAL, "0"))
        except KeyboardInterrupt:
            raise
        except BaseException as e:  # research code: anything can happen
            said = str(e) if isinstance(e, BrokenPlugin) else what_happened(e)
            raise BrokenPlugin(f"plugin {quote(name)} cannot be used: {where(name, root, e)}{said}") from e

    def _let_override(self, names: tuple[str, ...]) -> None:
        known = {n for e in self._entries for n in (e.provider.plugin, str(e.provider), *e.names[1:])}
        for name in names:
            if name not in known:
                raise InvalidConfig(
                    f"override: no plugin is called {quote(name)}{suggest(name, known)}; "
                    "expected one of `plugins:` or an installed one, as my_codec, or a part of it, as my_codec/mel-rvq"
                )
        self._override = names

    def register(self, plugin: ModuleType, provider: Provider) -> None:
        """Add every component that `plugin` declares, or none of them.

        Raises:
            BrokenPlugin: it is written for another plugin API, implements a hook that does not exist, or declares no
                component, something else, or one name twice.
        """
        api = getattr(plugin, "ARECA_PLUGIN_API", None)
        if type(api) is not int or api != PLUGIN_API:
            said = "states no plugin API" if api is None else f"speaks plugin API {quote(api)}"
            raise BrokenPlugin(
                f"{provider} {said}, this areca speaks {PLUGIN_API}: its module needs 'ARECA_PLUGIN_API = {PLUGIN_API}'"
            )
        if self._manager.has_plugin(str(provider)):
            raise BrokenPlugin(f"{provider.distribution} has two plugins that are called {provider.plugin!r}")
        check_hooks(plugin)
        try:
            self._manager.register(plugin, name=str(provider))
            self._entries += self._declared(plugin, provider)
        except BaseException:
            self._manager.unregister(name=str(provider))
            raise
        self.plugins += (provider,)

    def _declared(self, plugin: ModuleType, provider: Provider) -> list[Entry]:
        self._manager.check_pending()  # a misspelt hook is otherwise silently never called
        others = [p for p in self._manager.get_plugins() if p is not plugin]
        groups = self._manager.subset_hook_caller("areca_components", others)()
        found: dict[tuple[Kind, str], Entry] = {}
        for component in (c for group in groups for c in group):
            if type(component) is not Component:  # a class made of it may have other rules
                raise BrokenPlugin(f"{provider} declares {quote(component)}, which is not an areca.Component")
            component.__post_init__()  # again: there are ways around it
            key = (component.kind, component.name)
            if key in found:
                raise BrokenPlugin(f"{provider} declares {key[0]} {key[1]!r} twice")
            found[key] = Entry(component, provider)
        if not found:
            raise BrokenPlugin(f"{provider} declares no component: implement the hook areca_components")
        return list(found.values())

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
        preferred = [e for e in found if self._overrides(e)] if len(found) > 1 else found
        if len(preferred) == 1:
            return preferred[0]
        if found:
            rows = "\n".join(f"  {e.qualified}  (version {e.provider.version})" for e in found)
            own = next((e for e in found if e.provider.distribution == LOCAL), found[-1]).provider.plugin
            way_out = f"or give the name to one plugin in the run's YAML: 'override: [{own}]'"
            raise AmbiguousComponent(f"{len(found)} plugins provide {kind} {name!r}; write one of\n{rows}\n{way_out}")
        names = [e.component.name for e in self.entries(kind)]
        lines = [
            f"no {kind} is called {quote(name)}{suggest(name, names)}",
            f"  installed: {', '.join(names) or 'none'}",
        ]
        lines += [f"  other kind: there is a {e.component.kind} {name!r}" for e in self.entries() if name in e.names]
        lines += [f"  broken: {b}" for b in self.broken]
        raise UnknownComponent("\n".join(lines))

    def lasting_name(self, entry: Entry, name: str) -> str:
        """Return `name`, or `entry`'s qualified one where only `override` makes `name` mean this component.

        It goes into a checkpoint, which overrides nothing.
        """
        several = len([e for e in self.entries(entry.component.kind) if name in e.names]) > 1
        return entry.qualified if several else name

    def _overrides(self, entry: Entry) -> bool:
        names = {entry.provider.plugin, str(entry.provider), *entry.names[1:]}
        return not names.isdisjoint(self._override)
