"""Find the artifact of each part of a run, or train the part, and load it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from areca.artifact import Artifact
from areca.artifacts.store import Store
from areca.artifacts.tables import covers, table_inputs
from areca.artifacts.tokens import TokenTable
from areca.errors import ArecaError, InvalidArtifact, quote, suggest
from areca.job import Job, Progress, Stage, silent
from areca.manifest import Column, Manifest, Utterance
from areca.options import key_of
from areca.registry.parts import Part
from areca.specs import TokenizerSpec


class PartLoader:
    """Loads the parts of a run, each once. A part whose artifact is missing is trained first.

    A part is a component with its options and needs (`areca.registry.parts.Part`). Its artifact holds the files of its
    `fit`; its instance is what its `load` returns.

    Args:
        store: holds the artifacts.
        data: the training data; None: no part is trained from data.
        seed: seed of the run.
        device: where to compute.
        dtype: dtype of floating-point weights.
        stage: shows the progress of each part that is trained.
        artifacts: finished artifacts by role (those of a checkpoint), used instead of the store's.
        lm_tables: returns the token tables of the training split that the run's LM needs, each as the tokenizer's key
            and the column. A `fit` that needs only some rows of such a table uses the whole table.
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
        lm_tables: Callable[[], Collection[tuple[str, Column]]] = frozenset,
    ) -> None:
        self.store, self.data, self.seed = store, data, seed
        self.device, self.dtype, self.stage = torch.device(device), dtype, stage
        self._artifacts, self._lm_tables = dict(artifacts or {}), lm_tables
        self._splits: dict[str, Manifest] = {}
        self._instances: dict[str, list[tuple[Part, Any]]] = {}

    def inputs(self, part: Part) -> dict[str, Any]:
        """Return the inputs of the part's artifact key for the loader's data and seed."""
        return part.inputs(self.data.key if self.data else None, self.seed)

    def split(self, name: str) -> Manifest:
        """Return a split of the data. Each is selected once, because the key of a selection may take long to compute.

        Raises:
            InvalidManifest: the split has no row.
        """
        assert self.data is not None, "the caller has loaded the data"
        if name not in self._splits:
            self._splits[name] = self.data.select(split=name)
        return self._splits[name]

    def artifact(self, part: Part) -> Artifact | None:
        """Return the part's artifact; if it is missing, train the part and its needs first. None: it is not trained.

        Raises:
            InvalidArtifact: the checkpoint that the parts come from lacks this part.
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
                tokens = partial(self._encode_for_fit, part, progress) if self.data else None
                job = Job(directory, self.seed, self.device, progress, specs, tokens)
                part.entry.target().fit(part.config, needs, self.data, job)

        return self.store.make(self.inputs(part), build, label=part.label, resume="resume" in part.entry.component.tags)

    def instance(self, part: Part) -> Any:
        """Return the loaded part, after training it if necessary; equal parts share an instance.

        Raises:
            InvalidArtifact: as in `artifact`.
            MissingDependency: a module that the component requires is not installed.
        """
        loaded_parts = self._instances.setdefault(part.entry.qualified, [])
        for known, loaded in loaded_parts:  # compared by value: the id of a part that was freed may be reused
            if known == part:
                return loaded
        needs = {name: self.instance(need) for name, need in part.needs.items()}
        artifact = self.artifact(part)
        files = artifact.directory if artifact else None
        loaded = part.entry.target().load(part.config, needs, files, device=self.device, dtype=self.dtype)
        loaded_parts.append((part, loaded))
        return loaded

    def fingerprint(self, part: Part) -> str:
        """Return a hash that identifies the loaded part: its artifact, or its options and needs."""
        if artifact := self.artifact(part):
            return artifact.fingerprint
        return key_of(part.identity() | {"needs": {name: self.fingerprint(need) for name, need in part.needs.items()}})

    def _encode_for_fit(
        self, part: Part, progress: Progress, need: str, column: Column, rows: Sequence[Utterance] | None
    ) -> TokenTable:
        """Return the codes for `Job.tokens` in the `fit` of `part`."""
        tokenizer = part.needs.get(need)
        if tokenizer is None or not isinstance(tokenizer.spec, TokenizerSpec):
            known = [name for name, need_part in part.needs.items() if isinstance(need_part.spec, TokenizerSpec)]
            raise ArecaError(
                f"{part.label}: job.tokens({quote(need)}): expected one of its needs that is a tokenizer"
                f"{suggest(need, known)}; there are: {', '.join(known) or 'none'}"
            )
        data = self.split("train")
        if rows is not None and self._is_whole_table_free(tokenizer, data, column, rows):
            rows = None
        return TokenTable.make(data, column, tokenizer, self, rows=rows, progress=progress)

    def _is_whole_table_free(self, tokenizer: Part, data: Manifest, column: Column, rows: Sequence[Utterance]) -> bool:
        """Return whether the whole table costs no extra work: `rows` cover it, the LM needs it, or it exists."""
        if (key_of(self.inputs(tokenizer)), column) in self._lm_tables() or covers(data, column, rows):
            return True
        inputs = table_inputs(TokenTable.kind, data, column, self.fingerprint(tokenizer))
        return self.store.find(key_of(inputs)) is not None
