"""The component under test: one component with its options, trained and loaded once for all checks."""

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
    """A check does not apply or cannot run on this machine. pytest counts it as skipped."""


class CheckedComponent:
    """The component under test, with what the checks need: its part, its instance, and a corpus.

    Args:
        entry: the component.
        directory: an existing folder for the corpus and the trained component. Several components may share it.
        registry: finds the components that this one needs.
        options: option values and needs, as in YAML; they override the component's own `check` options.
    """

    def __init__(
        self, entry: Entry, directory: Path, *, registry: Registry, options: Mapping[str, Any] | None = None
    ) -> None:
        self.entry, self.directory, self.registry = entry, directory, registry
        self.options = dict(options or {})

    @property
    def component(self) -> Component:
        """The component, as its plugin declares it."""
        return self.entry.component

    @property
    def value(self) -> dict[str, Any]:
        """The part's YAML value: name and options."""
        return {"name": self.entry.qualified, **self.component.check, **self.options}

    @functools.cached_property
    def part(self) -> Part:
        """The component with its options, resolved.

        Raises:
            Skipped: a required option was not given, or the spec depends on weights that are not available.
        """
        try:
            return resolve(self.registry, self.component.kind, self.value, role="checked")
        except MissingWeights as e:
            raise Skipped(f"its weights are not available: {e}") from e
        except InvalidConfig as e:
            if self.options or self.component.check:
                raise
            raise Skipped(f"{e}; try: areca check {self.component.name} option=value") from e

    def require(self, tag: str) -> None:
        """Skip the check unless the component has `tag` and can be loaded on this machine.

        Raises:
            Skipped: it lacks the tag, or a required module or its weights are missing.
        """
        if tag not in self.part.tags:
            raise Skipped(f"it has no tag {tag}")
        _ = self.instance

    @functools.cached_property
    def manifest(self) -> Manifest:
        """A corpus of about a minute of synthetic, speech-like sound with text, in two languages."""
        from areca.testing.corpus import write_corpus

        return write_corpus(self.directory / "corpus")

    @functools.cached_property
    def loader(self) -> PartLoader:
        """The loader that trains and loads the component and its needs."""
        from areca.artifacts.loader import PartLoader
        from areca.artifacts.store import Store

        return PartLoader(Store(self.directory / "store"), data=self.manifest)

    @property
    def instance(self) -> Any:
        """The loaded component.

        Raises:
            Skipped: a required module or its weights are missing.
        """
        if isinstance(self._instance_or_error, Exception):
            raise self._instance_or_error
        return self._instance_or_error

    @functools.cached_property
    def _instance_or_error(self) -> Any:
        """The loaded component, or the error of loading it, so that a failing load is tried only once."""
        for part in self.part.walk():
            if missing := part.entry.missing():
                return Skipped(f"{part.name} {part.entry.describe_missing(missing)}")
        try:
            return self.loader.instance(self.part)
        except MissingWeights as e:
            return Skipped(f"its weights are not available: {e}")
        except Exception as e:  # a plugin's code can raise anything
            return e

    def folder(self, name: str) -> Path:
        """Return a folder that only this component uses; create it if needed."""
        folder = self.directory / self.entry.qualified.replace(":", "-").replace("/", "-") / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def load(self) -> Any:
        """Load the same files again and return the new instance."""
        _ = self.instance
        needs = {name: self.loader.instance(need) for name, need in self.part.needs.items()}
        artifact = self.loader.artifact(self.part)
        target = self.entry.target()
        files = artifact.directory if artifact else None
        return target.load(self.part.config, needs, files, device=self.loader.device, dtype=self.loader.dtype)

    @functools.cached_property
    def audios(self) -> list[Audio]:
        """The corpus's recordings, converted to the rate and channels in the component's spec."""
        from areca.audio import conform

        spec, manifest = self.part.spec, self.manifest
        channels = getattr(spec, "channels", 1)
        return [conform(manifest.audio(row), spec.sample_rate_hz, channels) for row in manifest.rows]
