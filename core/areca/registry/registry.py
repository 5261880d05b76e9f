"""Registry: discovers plugins, indexes their components and finds a component by name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from areca.component import PLUGIN_API, Component
from areca.errors import AmbiguousComponent, BrokenPlugin, InvalidConfig, UnknownComponent, format_error, quote, suggest
from areca.registry import hooks
from areca.registry.entry import LOCAL, Entry, PluginFailure, Provider, find_providers
from areca.registry.importing import (
    allowed_plugins,
    check_hooks,
    entry_points,
    import_local,
    is_installed,
    locate_error,
    trace_import,
)
from areca.specs import KINDS, KindSpec

GROUP = "areca"


class Registry:
    """All components of all plugins. A broken plugin is recorded in `broken` and does not stop discovery.

    Example:
        >>> registry = Registry.discover()
        >>> registry.find("tokenizer", "encodec").component.summary
    """

    def __init__(self) -> None:
        self.broken: tuple[PluginFailure, ...] = ()
        self.plugins: tuple[Provider, ...] = ()
        self.left_out: tuple[str, ...] = ()
        self.kinds: dict[str, KindSpec] = {str(kind.name): kind for kind in KINDS}
        self._entries: list[Entry] = []
        self._override: tuple[str, ...] = ()
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hooks)

    @property
    def hook(self) -> Any:
        """Caller of the events in `areca.registry.hooks`, for all plugins."""
        return self._manager.hook

    @classmethod
    def discover(
        cls, plugins: Iterable[str] = (), *, root: Path | None = None, override: Iterable[str] = ()
    ) -> Registry:
        """Index the installed plugins, then the local plugins.

        Args:
            plugins: local plugins: paths (``./my_codec.py``, relative to `root`) or names of importable modules.
            root: base folder of relative paths; None: the working directory.
            override: plugins (``my_codec``) or components (``my_codec/mel-rvq``) to prefer if several plugins provide
                the same name. Without a preference, such a name is an error.

        Raises:
            BrokenPlugin: a local plugin cannot be used. The failure of an installed plugin is recorded instead.
            InvalidConfig: `override` contains an unknown name.
        """
        registry = cls()
        is_installed.cache_clear()
        allowed = allowed_plugins()
        points, unreadable = entry_points(GROUP)
        points.sort(key=lambda p: (p.name, p.value))
        registry.broken += tuple(PluginFailure(Provider("entry_points.txt", *dist), e) for dist, e in unreadable)
        admitted = []
        for point, provider in zip(points, find_providers(points), strict=True):
            if allowed is not None and point.name not in allowed:
                registry.left_out += (point.name,)
                continue
            with registry._record_failure(provider), trace_import(str(provider)):
                registry._admit(plugin := point.load(), provider)
                admitted.append((plugin, provider))
        # Components are indexed once all kinds are known, because another plugin may add their kind.
        for plugin, provider in admitted:
            with registry._record_failure(provider):
                registry._index(plugin, provider)
        registry._load_local(plugins, root or Path.cwd())
        registry._set_override(tuple(override))
        return registry

    @contextlib.contextmanager
    def _record_failure(self, provider: Provider) -> Iterator[None]:
        """Record the failure of an installed plugin in `broken`."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as e:  # plugin code may raise anything, including SystemExit
            self.broken += (PluginFailure(provider, BrokenPlugin(f"exits: {e}") if isinstance(e, SystemExit) else e),)

    def _load_local(self, names: Iterable[str], root: Path) -> None:
        admitted = []
        for name in names:
            with _wrap_local_errors(name, root), trace_import(f"{LOCAL}:{name}"):
                module = import_local(name, root)
                if module not in self._manager.get_plugins():  # it may be given twice, or also be installed
                    self._admit(module, provider := Provider(module.__name__, LOCAL, "0"))
                    admitted.append((name, module, provider))
        for name, module, provider in admitted:
            with _wrap_local_errors(name, root):
                self._index(module, provider)

    def _set_override(self, names: tuple[str, ...]) -> None:
        known = {n for e in self._entries for n in (e.provider.plugin, str(e.provider), *e.names[1:])}
        for name in names:
            if name not in known:
                raise InvalidConfig(
                    f"override: no plugin or component is called {quote(name)}{suggest(name, known)}; "
                    "expected a plugin, like my_codec, or one of its components, like my_codec/mel-rvq"
                )
        self._override = names

    def _admit(self, plugin: ModuleType, provider: Provider) -> None:
        """Check a plugin, register it and add its kinds."""
        api = getattr(plugin, "ARECA_PLUGIN_API", None)
        if type(api) is not int or api != PLUGIN_API:
            found = "declares no plugin API" if api is None else f"declares plugin API {quote(api)}"
            raise BrokenPlugin(
                f"{provider} {found}, expected {PLUGIN_API}: its module needs 'ARECA_PLUGIN_API = {PLUGIN_API}'"
            )
        if self._manager.has_plugin(str(provider)):
            raise BrokenPlugin(f"{provider.distribution} has two plugins that are called {provider.plugin!r}")
        check_hooks(plugin)
        with self._unregister_on_error(provider):
            self._manager.register(plugin, name=str(provider))
            self._manager.check_pending()  # otherwise a misspelled hook would silently never be called
            for kind in self._call_hook(plugin, "areca_kinds"):
                if type(kind) is not KindSpec:
                    raise BrokenPlugin(f"{provider} adds {quote(kind)}, which is not an areca.specs.KindSpec")
                if kind.name in self.kinds:
                    raise BrokenPlugin(f"{provider} adds the kind {kind.name!r}, which already exists")
                self.kinds[kind.name] = kind

    def _index(self, plugin: ModuleType, provider: Provider) -> None:
        """Add all components of a plugin, or none of them."""
        with self._unregister_on_error(provider):
            self._entries += self._collect_entries(plugin, provider)
        self.plugins += (provider,)

    @contextlib.contextmanager
    def _unregister_on_error(self, provider: Provider) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._manager.unregister(name=str(provider))
            raise

    def collect(self, hook: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
        """Yield the items that a hook's implementations return, each with the name of its plugin; sorted by plugin.

        Raises:
            BrokenPlugin: a plugin's hook fails.
        """
        for name, plugin in sorted(self._manager.list_name_plugin()):
            try:
                items = list(self._call_hook(plugin, hook, **arguments))
            except Exception as e:  # plugin code may raise anything
                raise BrokenPlugin(f"plugin {name}: its hook {hook} failed: {format_error(e)}") from e
            yield from ((name, item) for item in items)

    def _call_hook(self, plugin: object, hook: str, **arguments: Any) -> Iterator[Any]:
        """Call a hook of one plugin and yield the items of the iterables it returns, which may be endless."""
        others = [p for p in self._manager.get_plugins() if p is not plugin]
        return (item for group in self._manager.subset_hook_caller(hook, others)(**arguments) for item in group)

    def _collect_entries(self, plugin: ModuleType, provider: Provider) -> list[Entry]:
        entries: dict[tuple[str, str], Entry] = {}
        for component in self._call_hook(plugin, "areca_components"):
            if type(component) is not Component:  # a subclass could change the rules
                raise BrokenPlugin(f"{provider} declares {quote(component)}, which is not an areca.Component")
            self._check_component(component, provider)
            key = (component.kind, component.name)
            if key in entries:
                raise BrokenPlugin(f"{provider} declares {key[0]} {key[1]!r} twice")
            entries[key] = Entry(component, provider, self.kinds[component.kind])
        if not (entries or self._observes(plugin) or any(True for _ in self._call_hook(plugin, "areca_kinds"))):
            raise BrokenPlugin(f"{provider} declares no component: implement the hook areca_components")
        return list(entries.values())

    def _observes(self, plugin: ModuleType) -> bool:
        """Return whether the plugin implements a hook that is an event, like ``areca_training_callbacks``."""
        implemented = {caller.name for caller in self._manager.get_hookcallers(plugin) or ()}
        return bool(implemented - {"areca_components", "areca_kinds"})

    def _check_component(self, component: Component, provider: Provider) -> None:
        component.__post_init__()  # repeated, because a plugin could have bypassed it
        for kind in (component.kind, *component.needs.values()):
            if kind not in self.kinds:
                raise BrokenPlugin(
                    f"{provider} declares {component.name!r} with the unknown kind {kind!r}"
                    f"{suggest(kind, self.kinds)}; expected one of {', '.join(self.kinds)}"
                )
        if foreign := sorted(t for t in component.tags if "/" in t and t.partition("/")[0] != provider.plugin):
            raise BrokenPlugin(
                f"{provider} declares {component.name!r} with the tags {', '.join(foreign)}: tags that this plugin "
                f"defines begin with '{provider.plugin}/'"
            )

    def entries(self, kind: str | None = None) -> tuple[Entry, ...]:
        """Return the components of `kind` (None: of all kinds), sorted by kind and name."""
        rows = (e for e in self._entries if kind is None or e.component.kind == kind)
        order = {name: position for position, name in enumerate(self.kinds)}
        return tuple(sorted(rows, key=lambda e: (order[e.component.kind], e.component.name, e.qualified)))

    def find(self, kind: str, name: str) -> Entry:
        """Find a component by name.

        Args:
            kind: kind of the component.
            name: ``name``, ``plugin/name`` or ``distribution:plugin/name``.

        Raises:
            UnknownComponent: no component has this name; the message suggests the most similar name and lists broken
                plugins.
            AmbiguousComponent: several components have this name; the message lists their unique names.
        """
        matches = [e for e in self.entries(kind) if name in e.names]
        preferred = [e for e in matches if self._overrides(e)] if len(matches) > 1 else matches
        if len(preferred) == 1:
            return preferred[0]
        if matches:
            rows = "\n".join(f"  {e.qualified}  (version {e.provider.version})" for e in matches)
            local = next((e for e in matches if e.provider.distribution == LOCAL), matches[-1]).provider.plugin
            hint = f"or choose a plugin in the run's YAML: 'override: [{local}]'"
            raise AmbiguousComponent(f"{len(matches)} plugins provide {kind} {name!r}; write one of\n{rows}\n{hint}")
        names = [e.component.name for e in self.entries(kind)]
        lines = [
            f"no {kind} is called {quote(name)}{suggest(name, names)}",
            f"  installed: {', '.join(names) or 'none'}",
        ]
        lines += [f"  other kind: there is a {e.component.kind} {name!r}" for e in self.entries() if name in e.names]
        raise UnknownComponent("\n".join([*lines, *self.describe_unusable()]))

    def describe_unusable(self) -> list[str]:
        """Return lines for messages: the broken plugins, and those that ``ARECA_PLUGINS`` leaves out."""
        lines = [f"  broken: {b}" for b in self.broken]
        return lines + ([f"  left out by ARECA_PLUGINS: {', '.join(self.left_out)}"] if self.left_out else [])

    def unambiguous_name(self, entry: Entry, name: str) -> str:
        """Return a name for `entry` that needs no `override`, for a checkpoint's config.

        This is `name` if no other component has it, otherwise the qualified name.
        """
        several = len([e for e in self.entries(entry.component.kind) if name in e.names]) > 1
        return entry.qualified if several else name

    def _overrides(self, entry: Entry) -> bool:
        names = {entry.provider.plugin, str(entry.provider), *entry.names[1:]}
        return not names.isdisjoint(self._override)


@contextlib.contextmanager
def _wrap_local_errors(name: str, root: Path) -> Iterator[None]:
    """Convert any error of a local plugin to `BrokenPlugin` with its name, file and line."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as e:  # plugin code may raise anything
        reason = str(e) if isinstance(e, BrokenPlugin) else format_error(e)
        raise BrokenPlugin(f"plugin {quote(name)} cannot be used: {locate_error(name, root, e)}{reason}") from e
