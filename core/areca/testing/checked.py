"""What the checks are run on: one component under some options, made once for all of them."""

from __future__ import annotations

import functools
import unittest
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from areca.component import Component
from areca.errors import InvalidConfig, MissingWeights
from areca.registry.entry import Entry
from areca.registry.parts import Part, resolve
from areca.registry.registry import Registry

if TYPE_CHECKING:
    from areca.artifacts.loader import PartLoader
    from areca.manifest import Manifest
    from areca.types import Audio


class Skipped(unittest.SkipTest):
    """A check that cannot be made here; pytest counts it as skipped."""


class CheckedComponent:
    """A component as the kit checks it.

    Args:
        entry: the component.
        directory: where to fit it and write the speech it is fitted on; must exist. Subjects may share one.
        registry: where the components it needs are looked up.
        options: option values and needs, as YAML gives them; they win over what the component declares as `check`.
    """

    def __init__(
        self, entry: Entry, directory: Path, *, registry: Registry, options: Mapping[str, Any] | None = None
    ) -> None:
        self.entry, self.directory, self.registry = entry, directory, registry
        self.options = dict(options or {})

    @property
    def component(self) -> Component:
        """What its plugin declares."""
        return self.entry.component

    @property
    def value(self) -> dict[str, Any]:
        """What YAML would say to have it."""
        return {"name": self.entry.qualified, **self.component.check, **self.options}

    @functools.cached_property
    def part(self) -> Part:
        """The component under its options.

        Raises:
            Skipped: it has options without default, and nobody gave them.
        """
        try:
            return resolve(self.registry, self.component.kind, self.value, role="checked")
        except InvalidConfig as e:
            if self.options or self.component.check:
                raise
            raise Skipped(f"{e}; try: areca check {self.component.name} option=value") from e

    def require(self, tag: str) -> None:
        """Go on only if the component has `tag` and can be had here.

        Raises:
            Skipped: it has not, or a module or weights that it needs are missing.
        """
        if tag not in self.component.tags:
            raise Skipped(f"it has no tag {tag}")
        _ = self.instance

    @functools.cached_property
    def manifest(self) -> Manifest:
        """A minute of synthetic speech-like sound with text, in two languages."""
        from areca.testing.corpus import write_corpus

        return write_corpus(self.directory / "corpus")

    @functools.cached_property
    def loader(self) -> PartLoader:
        """Where the component and its needs are fitted and loaded."""
        from areca.artifacts.loader import PartLoader
        from areca.artifacts.store import Store

        return PartLoader(Store(self.directory / "store"), data=self.manifest)

    @property
    def instance(self) -> Any:
        """The loaded component.

        Raises:
            Skipped: a module or weights that it needs are not here.
        """
        if isinstance(self._made, Exception):
            raise self._made
        return self._made

    @functools.cached_property
    def _made(self) -> Any:
        """The loaded component, or why there is none: to fail once is enough."""
        for part in self.part.walk():
            if missing := part.entry.missing():
                return Skipped(f"{part.name} {part.entry.describe_missing(missing)}")
        try:
            return self.loader.instance(self.part)
        except MissingWeights as e:
            return Skipped(f"its weights are not here: {e}")
        except Exception as e:  # a plugin's own code: anything can happen
            return e

    def folder(self, name: str) -> Path:
        """Return a folder of this component alone, made if it is not there."""
        folder = self.directory / self.entry.qualified.replace(":", "-").replace("/", "-") / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def load(self) -> Any:
        """Return a newly loaded instance of the same files."""
        _ = self.instance
        needs = {name: self.loader.instance(need) for name, need in self.part.needs.items()}
        artifact = self.loader.artifact(self.part)
        target = self.entry.target()
        files = artifact.directory if artifact else None
        return target.load(self.part.config, needs, files, device=self.loader.device, dtype=self.loader.dtype)

    @functools.cached_property
    def audios(self) -> list[Audio]:
        """The manifest's recordings at the rate and channels that the component takes."""
        from areca.audio import conform

        spec, manifest = self.part.spec, self.manifest
        channels = getattr(spec, "channels", 1)
        return [conform(manifest.audio(row), spec.sample_rate_hz, channels) for row in manifest.rows]
