"""A task with the codes of its rows: values of fields by role, with crops and voice prompts drawn by seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from areca.errors import InvalidCodes
from areca.fields import VOICE, Field
from areca.lm.crops import CodesByRole, crop, join, select_streams
from areca.manifest import Column, Utterance
from areca.rows.voices import Voices, draw_start
from areca.specs import TokenizerSpec
from areca.tasks import Task, values_of
from areca.types import Codes

if TYPE_CHECKING:
    from areca.lm.encoding import Encoded
    from areca.lm.model import SpeechLM

Tables = Mapping[tuple[str, Column], Mapping[str, Codes]]
"""The codes of each row, by the tokenizer's role and the column (``"audio"``, ``"target_audio"``)."""
_SHORTEST_S = 0.1
"""Shortest piece of another recording in a voice prompt, in seconds."""


@dataclass(frozen=True, slots=True)
class Spans:
    """What crops and voice prompts are drawn from.

    Args:
        specs: the tokenizers by role.
        voices: finds other recordings of a row's speaker.
        seed: seed of the spans.
    """

    specs: Mapping[str, TokenizerSpec]
    voices: Voices
    seed: int


@dataclass(frozen=True, slots=True)
class TaskRows:
    """A task and the codes of its audio.

    Args:
        name: the task's name in the run.
        task: the task.
        weight: its share of the training examples.
        tables: the codes of its fields.
        vectors: the vectors of the rows by column, which the LM reads in place of the codes of role `reads`; empty: it
            reads codes.
        reads, writes: role of inputs and of outputs that name none.
        spans: needed if a field has a `crop_s`.
    """

    name: str
    task: Task
    weight: float
    tables: Tables
    reads: str = "speech"
    writes: str = "speech"
    spans: Spans | None = None
    vectors: Mapping[Column, Mapping[str, Tensor]] = field(default_factory=dict)

    def encode(self, lm: SpeechLM, row: Utterance) -> Encoded:
        """Return the example of `row`.

        Raises:
            InvalidCodes: the row's codes or vectors are not those that the LM reads or writes; the message names the
                row.
        """
        try:
            return lm.encode(self.task, *self.values(row))
        except InvalidCodes as e:
            raise InvalidCodes(f"task {self.name}, row {row.id!r}: {e}") from e

    def find_vectors(self, row_id: str) -> list[Tensor]:
        """Return the vectors of a row's inputs, each float32 ``[F, D]``, in the order of the task's inputs."""
        return [self.vectors[f.column][row_id] for f in self.task.inputs if self._is_vector(f)]

    def _is_vector(self, field: Field) -> bool:
        return field.kind == "audio" and bool(self.vectors) and (field.role or self.reads) == self.reads

    def values(self, row: Utterance) -> tuple[dict[str, str | Codes | Tensor], dict[str, str | Codes | Tensor]]:
        """Return the values of the inputs and those of the outputs, by the name of their field."""
        coded = [f for f in self.task.inputs if not self._is_vector(f)]
        vectors = {f.name: self.vectors[f.column][row.id] for f in self.task.inputs if self._is_vector(f)}
        sides = (coded, self.reads), (self.task.outputs, self.writes)
        # Fields with the same path and crop_s have the same span, whatever their roles.
        roles: defaultdict[tuple[str, float | None], dict[str, None]] = defaultdict(dict)
        for fields, default in sides:
            for f in _audio(fields):
                roles[f.path, f.crop_s][f.role or default] = None
        found = {
            (path, crop_s): self._codes(row, Field(path, crop_s=crop_s), list(chosen))
            for (path, crop_s), chosen in roles.items()
        }
        read, written = (
            {f.name: select_streams(found[f.path, f.crop_s][f.role or default], f.streams) for f in _audio(fields)}
            for fields, default in sides
        )
        return values_of(row, {**read, **vectors}), values_of(row, written)

    def _codes(self, row: Utterance, field: Field, roles: Sequence[str]) -> CodesByRole:
        """Return the codes of a field by role, cut to its span."""

        def of(other: Utterance) -> dict[str, Codes]:
            return {role: self.tables[role, field.column][other.id] for role in roles}

        if field.crop_s is None:
            return of(row)
        assert self.spans is not None, "a field with crop_s needs `spans`"
        seed, specs = self.spans.seed, self.spans.specs
        if field.path != VOICE:
            return crop(of(row), specs, field.crop_s, draw_start(seed, row, field.path))[0]
        pieces, left_s = [], field.crop_s
        for other in self.spans.voices.rows(row):
            piece, length_s = crop(of(other), specs, left_s, draw_start(seed, row, f"voice {other.id}"))
            pieces.append(piece)
            left_s -= length_s
            if left_s < _SHORTEST_S:
                break
        return {role: join([piece[role] for piece in pieces]) for role in roles}


def _audio(fields: Sequence[Field]) -> list[Field]:
    return [field for field in fields if field.kind == "audio"]
