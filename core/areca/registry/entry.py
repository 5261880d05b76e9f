"""A component in the registry: its declaration, its plugin and its spec function."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

from areca.component import Component
from areca.errors import ArecaError, BrokenPlugin, MissingDependency, format_error, quote
from areca.registry.importing import hash_code, is_installed, trace_import
from areca.specs import KindSpec, Spec

LOCAL = "local"
"""Distribution name of a local plugin: a file or module given by the user."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A plugin and its distribution.

    Args:
        plugin: name of the entry point, or of a local module.
        distribution: name of the installed distribution; `LOCAL` for a local plugin.
        version: version of the distribution.
    """

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution}:{self.plugin}"


def find_providers(points: Sequence[EntryPoint]) -> list[Provider]:
    """Return the provider of each entry point. Metadata is slow to parse, so each distribution's is read once."""
    known = {dist: (dist.name, dist.version) for dist in {point.dist for point in points} if dist is not None}
    rows = [(point.name, *(known[point.dist] if point.dist is not None else ("", ""))) for point in points]
    return [Provider(name, distribution or "unknown", version or "0") for name, distribution, version in rows]


@dataclass(frozen=True, slots=True)
class PluginFailure:
    """A plugin that cannot be used, and why."""

    provider: Provider
    error: BaseException

    def __str__(self) -> str:
        return f"{self.provider} ({self.provider.version}): {self.reason}"

    @property
    def reason(self) -> str:
        """The error on one line."""
        return format_error(self.error)


@dataclass(frozen=True, slots=True)
class Entry:
    """A component, its plugin and its kind."""

    component: Component
    provider: Provider
    kind: KindSpec

    @property
    def qualified(self) -> str:
        """``distribution:plugin/name``, a name that is unique within the kind."""
        return f"{self.provider}/{self.component.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names that find this component: bare, with plugin, with distribution and plugin."""
        return (self.component.name, f"{self.provider.plugin}/{self.component.name}", self.qualified)

    def code_hash(self) -> str:
        """Return a hash of the source code of the plugin and of the modules that its declaration names."""
        named = (self.component.spec, self.component.target, self.component.config)
        modules = (reference.partition(":")[0] for reference in named if isinstance(reference, str))
        return hash_code((self.provider.plugin, *modules))

    def missing(self) -> tuple[str, ...]:
        """Return the required modules that are not installed; imports none."""
        return tuple(m for m in self.component.requires if not is_installed(m))

    def options(self) -> type[Any]:
        """Return the type of the component's config, and import it if the declaration only names it.

        Raises:
            BrokenPlugin: the import fails, or the type cannot hold the component's options.
        """
        config = self.component.config
        if not isinstance(config, str):
            return config
        found = self._attribute(config)
        try:
            self.component.check_config(found)
        except (TypeError, ValueError) as e:
            raise BrokenPlugin(f"{self.qualified}: {config!r}: {e}") from e
        assert isinstance(found, type)
        return found

    def spec(self, config: Any, needs: Mapping[str, Spec]) -> Spec:
        """Compute the component's spec for a config; imports no heavy dependency.

        Args:
            config: an instance of the component's config dataclass.
            needs: the specs of its needs, by name.

        Raises:
            BrokenPlugin: the spec function is missing, fails, or returns a spec of another kind.
            IncompatibleParts, ValueError: the component rejects its options or its needs.
        """
        function, reference = self._attribute(self.component.spec), self.component.spec
        try:
            spec = function(config, needs)
        except (ArecaError, ValueError):
            raise
        except Exception as e:  # plugin code may raise anything
            raise BrokenPlugin(f"{self.qualified}: {reference!r} failed: {format_error(e)}") from e
        if not isinstance(spec, self.kind.spec):
            expected = self.kind.spec.__name__
            raise BrokenPlugin(f"{self.qualified}: {reference!r} returned {quote(spec)}, expected {expected}")
        return spec

    def target(self) -> Any:
        """Import and return the class with ``fit`` and ``load``.

        Raises:
            MissingDependency: a required module is not installed; the message gives the command to install it.
            BrokenPlugin: the import fails, or the class does not exist.
        """
        if missing := self.missing():
            raise MissingDependency(f"{self.component.kind} {self.component.name!r} {self.describe_missing(missing)}")
        return self._attribute(self.component.target)

    def _attribute(self, reference: str) -> Any:
        module, _, name = reference.partition(":")
        try:
            with trace_import(f"{reference} of {self.qualified}", unless=module in sys.modules):
                return getattr(importlib.import_module(module), name)
        except Exception as e:  # plugin code may raise anything
            raise BrokenPlugin(f"{self.qualified}: importing {reference!r} failed: {format_error(e)}") from e

    def describe_missing(self, missing: tuple[str, ...]) -> str:
        """Return a message that names the missing modules and the command to install them."""
        return f"needs {', '.join(missing)}, not installed: {self.install_command(missing)}"

    def install_command(self, missing: tuple[str, ...]) -> str:
        """Return the ``pip install`` command that installs the missing modules."""
        if self.component.extra and self.provider.distribution != LOCAL:
            return f"pip install '{self.provider.distribution}[{self.component.extra}]'"
        return f"pip install {' '.join(missing)}"
