"""Verbs that plugins add to the command line, by the entry-point group ``areca.verbs``."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

from areca.component import COMPONENT_NAME
from areca.errors import BrokenPlugin, format_error, quote
from areca.registry.entry import PluginFailure, Provider, find_providers
from areca.registry.importing import allowed_plugins, entry_points, source_of, trace_import
from areca.registry.registry import GROUP as PLUGINS

GROUP = "areca.verbs"


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb of an installed distribution. Only `load` imports its module.

    Args:
        point: its name, and ``"module:function"``.
        provider: the name again, and the distribution that provides the verb.
    """

    point: EntryPoint
    provider: Provider

    @property
    def names(self) -> tuple[str, str]:
        """The names of the verb: bare, and ``distribution:verb``."""
        return self.point.name, str(self.provider)

    @property
    def summary(self) -> str:
        """The first line of the function's docstring, read from its source; by default the distribution's summary."""
        try:
            doc = self._docstring()
        except Exception:  # the source of a third party, or none: `find_fault` reports it
            doc = ""
        first, _, _ = doc.strip().partition("\n")
        if not first and self.point.dist is not None:
            first = self.point.dist.metadata.get_all("Summary", [""])[0]
        return " ".join(first.split()).removesuffix(".")

    def _docstring(self) -> str:
        """Return the docstring of the function; ``""`` where its module's source does not define it."""
        source = source_of(self.point.module)
        nodes = [] if source is None else ast.parse(source).body
        functions = [n for n in nodes if isinstance(n, ast.FunctionDef) and n.name == self.point.attr]
        return (ast.get_docstring(functions[-1]) or "") if functions else ""

    def find_fault(self) -> PluginFailure | None:
        """Return why the verb cannot be run, judging by its metadata and its source; None: no fault was found."""
        try:
            if not COMPONENT_NAME.fullmatch(self.point.name):
                raise BrokenPlugin(f"verb {quote(self.point.name)}: expected lowercase words joined by '-'")
            if ":" not in self.point.value:
                raise BrokenPlugin(f"{quote(self.point.value)}: expected 'module:function'")
            self._docstring()
        except Exception as error:
            return PluginFailure(self.provider, error)
        return None

    def load(self) -> Any:
        """Import and return the function; the caller checks that it is one.

        Raises:
            BrokenPlugin: its module or the function is missing, or the import fails.
        """
        try:
            with trace_import(f"verb {self.provider}"):
                return self.point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # plugin code may raise anything, including SystemExit
            raise self.create_error(f"importing {quote(self.point.value)} failed: {format_error(error)}") from error

    def create_error(self, reason: str) -> BrokenPlugin:
        """Return the error that names this verb, its distribution and `reason`."""
        distribution, version = self.provider.distribution, self.provider.version
        return BrokenPlugin(f"verb {self.point.name!r} of {distribution} {version} cannot be used: {reason}")


def installed_verbs() -> tuple[Verb, ...]:
    """Return the verbs of installed distributions, sorted by name; ``ARECA_PLUGINS`` may leave some out.

    The variable allows a verb by its name, or by the name of a plugin in the same top-level package.
    """
    points = _filter_allowed(entry_points(GROUP)[0])
    verbs = [Verb(point, provider) for point, provider in zip(points, find_providers(points), strict=True)]
    return tuple(sorted(verbs, key=lambda verb: verb.names))


def broken_verbs() -> tuple[PluginFailure, ...]:
    """Return the faults of installed verbs that can be found without importing them."""
    return tuple(fault for verb in installed_verbs() if (fault := verb.find_fault()) is not None)


def _filter_allowed(points: list[EntryPoint]) -> list[EntryPoint]:
    allowed = allowed_plugins()
    if allowed is None:
        return points
    packages = {_top_package(plugin) for plugin in entry_points(PLUGINS)[0] if plugin.name in allowed}
    return [point for point in points if point.name in allowed or _top_package(point) in packages]


def _top_package(point: EntryPoint) -> str:
    """Return the top-level package of an entry point, whose value may be anything."""
    return point.value.partition(":")[0].partition(".")[0].strip()
