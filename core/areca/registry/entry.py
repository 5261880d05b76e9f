"""A component as the registry knows it: what its plugin declares, where it came from, and its light half."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from areca.component import Component
from areca.errors import ArecaError, BrokenPlugin, MissingDependency, quote
from areca.registry.importing import digest_of, is_installed, traced, what_happened
from areca.specs import KindSpec, Spec

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
    """A component, where it came from, and its kind."""

    component: Component
    provider: Provider
    kind: KindSpec

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
        if not isinstance(spec, self.kind.spec):
            expected = self.kind.spec.__name__
            raise BrokenPlugin(f"{self.qualified}: {reference!r} returned {quote(spec)}, expected {expected}")
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
