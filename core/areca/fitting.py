"""From part to artifact to instance: fit what is not made yet, load what is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from areca.errors import InvalidArtifact
from areca.interfaces import Job, Progress, no_progress
from areca.manifest import Manifest
from areca.parts import Part
from areca.store import Artifact, Store, key_of


class Workshop:
    """Makes the parts of one run, each at most once.

    Args:
        store: where artifacts are kept.
        data: what the parts are trained from; None where nothing is trained.
        seed: of the run.
        device: where to compute.
        dtype: of floating-point weights.
        progress: told how far a fit is.
        artifacts: finished artifacts by role (those of a checkpoint), used instead of the store's.
    """

    def __init__(
        self,
        store: Store,
        *,
        data: Manifest | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        progress: Progress = no_progress,
        artifacts: Mapping[str, Artifact] | None = None,
    ) -> None:
        self.store, self.data, self.seed = store, data, seed
        self.device, self.dtype, self.progress = torch.device(device), dtype, progress
        self._artifacts = dict(artifacts or {})
        self._instances: dict[str, list[tuple[Part, Any]]] = {}

    def recipe(self, part: Part) -> dict[str, Any]:
        """Return the preimage of the part's key under this run's data and seed."""
        return part.recipe(self.data.key if self.data else None, self.seed)

    def artifact(self, part: Part) -> Artifact | None:
        """Return the part's files, fitting it (and first what it needs) if they are not there; None: it has none.

        Raises:
            InvalidArtifact: the checkpoint that the parts come from lacks this one.
        """
        if not part.fits:
            return None
        if self._artifacts:
            if part.role not in self._artifacts:
                raise InvalidArtifact(f"the checkpoint has no files for part {part.role!r} ({part.name})")
            return self._artifacts[part.role]
        component = part.entry.component

        def build(directory: Path) -> None:
            specs = {name: need.spec for name, need in part.needs.items()}
            job = Job(directory, self.seed, self.device, self.progress, specs)
            needs = {name: self.instance(need) for name, need in part.needs.items()}
            part.entry.target().fit(part.config, needs, self.data, job)

        return self.store.make(
            self.recipe(part), build, label=f"{component.kind} {part.name}", resume="resume" in component.tags
        )

    def instance(self, part: Part) -> Any:
        """Return the loaded part, with what it needs: one instance for all parts that are equal."""
        alike = self._instances.setdefault(part.entry.qualified, [])
        for known, loaded in alike:  # by value: a part that was freed leaves its id to another one
            if known == part:
                return loaded
        needs = {name: self.instance(need) for name, need in part.needs.items()}
        artifact = self.artifact(part)
        files = artifact.directory if artifact else None
        loaded = part.entry.target().load(part.config, needs, files, device=self.device, dtype=self.dtype)
        alike.append((part, loaded))
        return loaded

    def fingerprint(self, part: Part) -> str:
        """Return what the part, as made, is known by: its own files, or its options and the fingerprints it needs."""
        if artifact := self.artifact(part):
            return artifact.fingerprint
        return key_of(part.identity() | {"needs": {name: self.fingerprint(need) for name, need in part.needs.items()}})
