"""Find plugins, index what they declare, choose one component by name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from areca.component import PLUGIN_API, Component
from areca.errors import AmbiguousComponent, BrokenPlugin, InvalidConfig, UnknownComponent, quote, suggest
from areca.registry import hooks
from areca.registry.entry import LOCAL, Broken, Entry, Provider
from areca.registry.importing import check_hooks, entry_points, import_local, traced, what_happened, where
from areca.specs import KINDS, KindSpec

GROUP = "areca"


class Registry:
    """Every component of every plugin, by kind and name. Broken plugins are kept as data."""

    def __init__(self) -> None:
        self.broken: tuple[Broken, ...] = ()
        self.plugins: tuple[Provider, ...] = ()
        self.kinds: dict[str, KindSpec] = {str(kind.name): kind for kind in KINDS}
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
        admitted = []
        for point in sorted(points, key=lambda p: (p.name, p.value)):
            if wanted is None or point.name in wanted:
                dist = point.dist
                provider = Provider(point.name, (dist and dist.name) or "unknown", (dist and dist.version) or "0")
                with registry._recorded(provider), traced(str(provider)):
                    registry._admit(plugin := point.load(), provider)
                    admitted.append((plugin, provider))
        for plugin, provider in admitted:  # after all kinds are known, whoever adds them
            with registry._recorded(provider):
                registry._index(plugin, provider)
        registry._load_local(plugins, root or Path.cwd())
        registry._let_override(tuple(override))
        return registry

    @contextlib.contextmanager
    def _recorded(self, provider: Provider) -> Iterator[None]:
        """Keep what goes wrong with an installed plugin as data."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as e:  # a third party's code: anything can happen, SystemExit too
            self.broken += (Broken(provider, BrokenPlugin(f"exits: {e}") if isinstance(e, SystemExit) else e),)

    def _load_local(self, names: Iterable[str], root: Path) -> None:
        admitted = []
        for name in names:
            with _explained(name, root), traced(f"{LOCAL}:{name}"):
                module = import_local(name, root)
                if module not in self._manager.get_plugins():  # named twice, or installed as well
                    self._admit(module, provider := Provider(module.__name__, LOCAL, "0"))
                    admitted.append((name, module, provider))
        for name, module, provider in admitted:
            with _explained(name, root):
                self._index(module, provider)

    def _let_override(self, names: tuple[str, ...]) -> None:
        known = {n for e in self._entries for n in (e.provider.plugin, str(e.provider), *e.names[1:])}
        for name in names:
            if name not in known:
                raise InvalidConfig(
                    f"override: no plugin is called {quote(name)}{suggest(name, known)}; "
                    "expected one of `plugins:` or an installed one, as my_codec, or a part of it, as my_codec/mel-rvq"
                )
        self._override = names

    def _admit(self, plugin: ModuleType, provider: Provider) -> None:
        """Check a plugin and add its kinds."""
        api = getattr(plugin, "ARECA_PLUGIN_API", None)
        if type(api) is not int or api != PLUGIN_API:
            said = "states no plugin API" if api is None else f"speaks plugin API {quote(api)}"
            raise BrokenPlugin(
                f"{provider} {said}, this areca speaks {PLUGIN_API}: its module needs 'ARECA_PLUGIN_API = {PLUGIN_API}'"
            )
        if self._manager.has_plugin(str(provider)):
            raise BrokenPlugin(f"{provider.distribution} has two plugins that are called {provider.plugin!r}")
        check_hooks(plugin)
        with self._registered_or_not(provider):
            self._manager.register(plugin, name=str(provider))
            self._manager.check_pending()  # a misspelt hook is otherwise silently never called
            for kind in self._own(plugin, "areca_kinds"):
                if type(kind) is not KindSpec:
                    raise BrokenPlugin(f"{provider} adds {quote(kind)}, which is not an areca.specs.KindSpec")
                if kind.name in self.kinds:
                    raise BrokenPlugin(f"{provider} adds the kind {kind.name!r}, which is there already")
                self.kinds[kind.name] = kind

    def _index(self, plugin: ModuleType, provider: Provider) -> None:
        """Add all components of a plugin, or none of them."""
        with self._registered_or_not(provider):
            self._entries += self._declared(plugin, provider)
        self.plugins += (provider,)

    @contextlib.contextmanager
    def _registered_or_not(self, provider: Provider) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._manager.unregister(name=str(provider))
            raise

    def _own(self, plugin: ModuleType, hook: str) -> Iterator[Any]:
        """Yield what one plugin gives for a hook whose results are iterables, which may be endless."""
        others = [p for p in self._manager.get_plugins() if p is not plugin]
        return (item for group in self._manager.subset_hook_caller(hook, others)() for item in group)

    def _declared(self, plugin: ModuleType, provider: Provider) -> list[Entry]:
        found: dict[tuple[str, str], Entry] = {}
        for component in self._own(plugin, "areca_components"):
            if type(component) is not Component:  # a class made of it may have other rules
                raise BrokenPlugin(f"{provider} declares {quote(component)}, which is not an areca.Component")
            component.__post_init__()  # again: there are ways around it
            for kind in (component.kind, *component.needs.values()):
                if kind not in self.kinds:
                    raise BrokenPlugin(
                        f"{provider} declares {component.name!r} with the kind {kind!r}, which no plugin adds"
                        f"{suggest(kind, self.kinds)}; there are {', '.join(self.kinds)}"
                    )
            if foreign := sorted(t for t in component.tags if "/" in t and t.partition("/")[0] != provider.plugin):
                raise BrokenPlugin(
                    f"{provider} declares {component.name!r} with the tags {', '.join(foreign)}: a tag of its own "
                    f"begins with '{provider.plugin}/'"
                )
            key = (component.kind, component.name)
            if key in found:
                raise BrokenPlugin(f"{provider} declares {key[0]} {key[1]!r} twice")
            found[key] = Entry(component, provider, self.kinds[component.kind])
        if not found and not any(True for _ in self._own(plugin, "areca_kinds")):
            raise BrokenPlugin(f"{provider} declares no component: implement the hook areca_components")
        return list(found.values())

    def entries(self, kind: str | None = None) -> tuple[Entry, ...]:
        """Return all components, or those of `kind`, sorted by kind and name."""
        rows = (e for e in self._entries if kind is None or e.component.kind == kind)
        order = {name: place for place, name in enumerate(self.kinds)}
        return tuple(sorted(rows, key=lambda e: (order[e.component.kind], e.component.name, e.qualified)))

    def find(self, kind: str, name: str) -> Entry:
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


@contextlib.contextmanager
def _explained(name: str, root: Path) -> Iterator[None]:
    """Say which of the user's own plugins cannot be used, and why."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as e:  # research code: anything can happen
        said = str(e) if isinstance(e, BrokenPlugin) else what_happened(e)
        raise BrokenPlugin(f"plugin {quote(name)} cannot be used: {where(name, root, e)}{said}") from e
