"""Answer prompts with a speech LM, under the rules of a task's answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from areca.errors import InvalidConfig, quote
from areca.generation.answers import Cursor, Rules
from areca.generation.decoding import DecodingMethod
from areca.lm.model import SpeechLM
from areca.lm.steps import Steps
from areca.run.options import Limits
from areca.tasks import Segment, SegmentKind

_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer.

    Args:
        segments: the segments, of the requested kinds and in their order.
        cut: for each segment, whether its limit ended it instead of the LM.
        ids: the ids of the answer, with controls.
    """

    segments: tuple[Segment, ...]
    cut: tuple[bool, ...]
    ids: tuple[int, ...]


@torch.inference_mode()
def generate(
    lm: SpeechLM,
    prompts: Sequence[Steps],
    kinds: Sequence[SegmentKind],
    method: DecodingMethod,
    limits: Limits = _LIMITS,
    *,
    generator: torch.Generator | None = None,
) -> list[Generated]:
    """Answer prompts, all at once. An answer does not depend on the other prompts.

    Args:
        lm: a speech LM.
        prompts: from `SpeechLM.prompt`; they may differ in length.
        kinds: kinds of the segments of each answer, as in `Task.answer_kinds`.
        method: an instance of a component of the kind ``decoding``.
        limits: maximum length of a segment.
        generator: the method's only source of randomness; None: a generator with seed 0.

    Raises:
        InvalidConfig: there is no prompt, a prompt or `kinds` is empty, or the method did not answer every prompt.
    """
    if not prompts or not all(map(len, prompts)):
        raise InvalidConfig("expected at least one prompt, and none of them empty")
    rules = Rules(lm, tuple(kinds), limits.max_text_ids, lm.writes.grammar(limits.max_audio_frames))
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
