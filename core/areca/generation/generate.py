"""Answer prompts with a speech LM, under the rules of a task's answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from areca.errors import InvalidConfig, quote
from areca.fields import Field
from areca.generation.answers import NO_FRAMES, Cursor, Rules
from areca.generation.decoding import DecodingMethod
from areca.lm.model import SpeechLM
from areca.lm.steps import Steps
from areca.run.options import Limits
from areca.tasks import AudioSegment, Segment
from areca.types import Codes

_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer.

    Args:
        segments: the segments of the requested fields, in their order.
        cut: for each segment, whether its limit ended it instead of the LM.
        ids: the ids of the answer, with controls.
    """

    segments: tuple[Segment, ...]
    cut: tuple[bool, ...]
    ids: tuple[int, ...]

    @property
    def audio(self) -> dict[int, Codes]:
        """The codes of the audio segments, by number of the segment."""
        return {n: segment.codes for n, segment in enumerate(self.segments) if isinstance(segment, AudioSegment)}


@torch.inference_mode()
def generate(
    lm: SpeechLM,
    prompts: Sequence[Steps],
    fields: Sequence[Field],
    method: DecodingMethod,
    limits: Limits = _LIMITS,
    *,
    frames: Mapping[str, int] = NO_FRAMES,
    most_steps: int | None = None,
    generator: torch.Generator | None = None,
) -> list[Generated]:
    """Answer prompts, all at once. An answer does not depend on the other prompts.

    Args:
        lm: a speech LM.
        prompts: from `SpeechLM.prompt`; they may differ in length.
        fields: the fields of each answer's segments, as `Task.outputs`. Each audio segment has its field's role and
            streams.
        method: an instance of a component of the kind ``decoding``.
        limits: maximum length of a segment.
        frames: exact number of frames of an audio segment, by the name of its field; the limits then do not apply.
        most_steps: maximum number of steps in a segment; None: only the limits apply.
        generator: the method's only source of randomness; None: a generator with seed 0.

    Raises:
        InvalidConfig: there is no prompt; a prompt is empty, and the answer starts with a text; `fields` is empty; a
            limit in seconds for codes of variable rate; or the method did not answer every prompt.
        InvalidCodes: the LM has no such role or streams.
    """
    if not prompts or not (all(map(len, prompts)) or [f.kind for f in fields[:1]] == ["audio"]):
        raise InvalidConfig("expected at least one prompt, and none of them empty before a text")
    rules = Rules.of(lm, fields, limits, frames, most_steps)
    with evaluating(lm.model):
        cursors = method.search(rules, prompts, generator or torch.Generator().manual_seed(0))
    if len(cursors) != len(prompts) or not all(_is_answer(cursor, rules) for cursor in cursors):
        raise InvalidConfig(
            f"{type(method).__name__}.search returned {quote(cursors)}: expected {len(prompts)} finished "
            "areca.generation.answers.Cursor, one for each prompt, made with the rules that it was given"
        )
    return [Generated(c.segments(), tuple(c.cut), tuple(c.ids)) for c in cursors]


def _is_answer(cursor: Any, rules: Rules) -> bool:
    return isinstance(cursor, Cursor) and cursor.rules is rules and cursor.done


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Keep a model in evaluation mode."""
    training = model.training
    if training:
        model.eval()
    try:
        yield
    finally:
        if training:
            model.train()
