"""Train or find the artifact of each part of a run, and load it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from areca.artifact import Artifact
from areca.artifacts.store import Store
from areca.errors import InvalidArtifact
from areca.interfaces import Job, Stage, silent
from areca.manifest import Manifest
from areca.options import key_of
from areca.registry.parts import Part


class PartLoader:
    """Loads the parts of one run, each once; a part whose artifact is missing is trained first.

    Args:
        store: where artifacts are kept.
        data: what the parts are trained from; None where nothing is trained.
        seed: of the run.
        device: where to compute.
        dtype: of floating-point weights.
        stage: shows the progress of each part that is trained.
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
        stage: Stage = silent,
        artifacts: Mapping[str, Artifact] | None = None,
    ) -> None:
        self.store, self.data, self.seed = store, data, seed
        self.device, self.dtype, self.stage = torch.device(device), dtype, stage
        self._artifacts = dict(artifacts or {})
        self._instances: dict[str, list[tuple[Part, Any]]] = {}

    def inputs(self, part: Part) -> dict[str, Any]:
        """Return the preimage of the part's key under this run's data and seed."""
        return part.inputs(self.data.key if self.data else None, self.seed)

    def artifact(self, part: Part) -> Artifact | None:
        """Return the part's files, fitting it (and first what it needs) if they are not there; None: it has none.

        Raises:
            InvalidArtifact: the checkpoint that the parts come from lacks this one.
        """
        if not part.is_trained:
            return None
        if self._artifacts:
            if part.role not in self._artifacts:
                raise InvalidArtifact(f"the checkpoint has no files for part {part.role!r} ({part.name})")
            return self._artifacts[part.role]

        def build(directory: Path) -> None:
            specs = {name: need.spec for name, need in part.needs.items()}
            needs = {name: self.instance(need) for name, need in part.needs.items()}
            with self.stage(part.label) as progress:
                job = Job(directory, self.seed, self.device, progress, specs)
                part.entry.target().fit(part.config, needs, self.data, job)

        return self.store.make(self.inputs(part), build, label=part.label, resume="resume" in part.entry.component.tags)

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
