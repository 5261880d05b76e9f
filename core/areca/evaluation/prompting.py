"""Choose the voice prompt of each evaluated answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from areca.audio import conform, read
from areca.fields import VOICE
from areca.generation.requests import get_input_kind
from areca.manifest import Manifest, Utterance
from areca.options import file_hash
from areca.rows.voices import Voices
from areca.run.options import NO_VOICE, SOURCE_VOICE, EvaluationConfig
from areca.tasks import Task
from areca.types import Audio


@dataclass(frozen=True)
class Prompting:
    """The voice prompts of the answers to rows.

    Args:
        manifest: the rows.
        config: `voice` and `split` are read, and `seed`, from which the recordings of a speaker are chosen.
        takes_voice: whether the system's vocoder takes voice prompts.
    """

    manifest: Manifest
    config: EvaluationConfig
    takes_voice: bool

    @property
    def identity(self) -> str | None:
        """What identifies the choice of voices in an evaluation's settings."""
        voice = self.config.voice
        return voice if voice in (None, SOURCE_VOICE, NO_VOICE) else file_hash(Path(str(voice)))

    def answer_options(self, task: Task, rows: Sequence[Utterance]) -> dict[str, Any]:
        """Return the options of `System.answer` for the voices of rows; empty: the system chooses."""
        if not self._has_prompt(task):
            return {"voice": NO_VOICE} if self.takes_voice and "audio" in task.answer_kinds else {}
        if self._is_question(task):
            return {"voice": SOURCE_VOICE}  # the system decodes it anyway
        return {"voice": [self._load(task, row) for row in rows]}

    def recording(self, task: Task, row: Utterance) -> Callable[[], Audio] | None:
        """Return a function that decodes the voice prompt of a row's answer; None: it has none."""
        return partial(self._load, task, row) if self._has_prompt(task) else None

    def _has_prompt(self, task: Task) -> bool:
        if self.config.voice is not None:
            return self.config.voice != NO_VOICE and ("audio" in task.answer_kinds or task.reads_voice)
        return task.reads_voice or (
            self.takes_voice and "audio" in task.answer_kinds and get_input_kind(task) == "audio"
        )

    def _is_question(self, task: Task) -> bool:
        """Whether the voice prompt is the recording that the task reads."""
        chosen = self.config.voice == SOURCE_VOICE or (self.config.voice is None and not task.reads_voice)
        return chosen and get_input_kind(task) == "audio"

    def _load(self, task: Task, row: Utterance) -> Audio:
        if self.config.voice not in (None, SOURCE_VOICE):
            return self._file
        if task.reads_voice and self.config.voice is None:
            return _join_recordings(self.manifest, task, self._speakers.rows(row))
        return self.manifest.target_audio(row) if task.question.path == "target.audio" else self.manifest.audio(row)

    @cached_property
    def _file(self) -> Audio:
        return read(Path(str(self.config.voice)))

    @cached_property
    def _speakers(self) -> Voices:
        return Voices(self.manifest.select(split=self.config.split).rows, self.config.seed)


def _join_recordings(manifest: Manifest, task: Task, rows: Sequence[Utterance]) -> Audio:
    """Return the recordings of rows one after the other, until they last as long as the voice prompt of a task."""
    wanted_s = max(field.crop_s or 0.0 for field in task.inputs if field.path == VOICE)
    first = manifest.audio(rows[0])
    pieces, length_s = [first.samples], first.seconds
    for row in rows[1:]:
        if length_s >= wanted_s:
            break
        audio = conform(manifest.audio(row), first.sample_rate_hz, first.channels)
        pieces.append(audio.samples)
        length_s += audio.seconds
    return Audio(torch.cat(pieces, dim=1), first.sample_rate_hz, f"voice of {rows[0].id}")
