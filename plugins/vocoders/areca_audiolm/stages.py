"""The two stages as tasks of an LM over roles and streams, without text (AudioLM, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from areca.errors import InvalidArtifact
from areca.fields import Field
from areca.fitting.codec_vocoder.layout import Layout
from areca.lm.model import SpeechLM
from areca.specs import Stream
from areca.tasks import Task
from areca_audiolm.layout import count_coarse
from areca_audiolm.options import AudioLMConfig

SEMANTIC, ACOUSTIC = "semantic", "acoustic"
"""The roles."""
_CONTROLS = 5
"""Controls in an example: the beginning and the end of both segments, and the end of the sequence."""
_SLACK = 8
"""Ids by which a short recording's streams may be longer than its crop in whole frames."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage.

    Args:
        name: ``"coarse"`` or ``"fine"``, also its folder in the artifact.
        task: what its LM reads and writes.
        streams: the streams of each role in its vocabulary.
        crop_s: maximum seconds of an example.
        frames: maximum number of codec frames in an example.
        length: maximum number of ids in an example.
        steps: training steps.
        temperature: of sampling.
    """

    name: Literal["coarse", "fine"]
    task: Task
    streams: Mapping[str, tuple[Stream, ...]]
    crop_s: float
    frames: int
    length: int
    steps: int
    temperature: float

    @property
    def output(self) -> Field:
        """What the stage writes."""
        return self.task.outputs[0]

    @property
    def input(self) -> Field:
        """What the stage reads."""
        return self.task.inputs[0]

    def check(self, lm: SpeechLM, path: object) -> None:
        """Refuse an LM over other streams, or for shorter sequences.

        Raises:
            InvalidArtifact: the LM in `path` is not that of the stage.
        """
        found = {role: codes.streams for role, codes in lm.layouts.items()}
        if found != dict(self.streams) or lm.context < self.length:
            raise InvalidArtifact(
                f"{path}: expected an LM over {dict(self.streams)} for {self.length} ids, got {found} for {lm.context}"
            )


def stages_of(config: AudioLMConfig, layout: Layout) -> tuple[Stage, ...]:
    """Return the coarse stage, and the fine stage if any levels are left for it."""
    levels, coarse, streams = len(layout.sizes), count_coarse(config, layout), layout.acoustic.streams

    def field(role: str, span: tuple[int, int] | None, crop_s: float) -> Field:
        return Field("source.audio", role=role, streams=span, crop_s=crop_s)

    frames, crop_s = layout.frames(config.coarse_crop_s), config.coarse_crop_s
    first = Stage(
        "coarse",
        Task("COARSE", (field(SEMANTIC, None, crop_s),), (field(ACOUSTIC, (0, coarse), crop_s),), format=""),
        {SEMANTIC: layout.semantic.streams, ACOUSTIC: streams[:coarse]},
        crop_s,
        frames,
        frames // layout.repeats + frames * coarse + _CONTROLS + _SLACK,
        config.coarse_steps,
        config.coarse_temperature,
    )
    if coarse == levels:
        return (first,)
    frames, crop_s = layout.frames(config.fine_crop_s), config.fine_crop_s
    second = Stage(
        "fine",
        Task("FINE", (field(ACOUSTIC, (0, coarse), crop_s),), (field(ACOUSTIC, (coarse, levels), crop_s),), format=""),
        {ACOUSTIC: streams},
        crop_s,
        frames,
        frames * levels + _CONTROLS + _SLACK,
        config.fine_steps,
        config.fine_temperature,
    )
    return first, second
