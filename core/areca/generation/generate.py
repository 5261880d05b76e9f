"""Answers of a speech LM under the rules of what a task produces."""

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
from areca.run.options import Limits
from areca.tasks import Segment, SegmentKind

_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer.

    Args:
        segments: of the kinds that were asked for, in order.
        cut: for each, whether it was ended by its limit and not by the LM.
        ids: what the LM wrote, with controls.
    """

    segments: tuple[Segment, ...]
    cut: tuple[bool, ...]
    ids: tuple[int, ...]


@torch.inference_mode()
def generate(
    lm: SpeechLM,
    prompts: Sequence[Sequence[int]],
    kinds: Sequence[SegmentKind],
    method: DecodingMethod,
    limits: Limits = _LIMITS,
    *,
    generator: torch.Generator | None = None,
) -> list[Generated]:
    """Answer prompts, all at once; each gets the answer that it would get alone.

    Args:
        lm: a speech LM.
        prompts: ids from `SpeechLM.prompt_ids`; they may differ in length.
        kinds: kinds of the segments wanted, `Task.answer_kinds`.
        method: an instance of a component of the kind ``decoding``.
        limits: how long a segment may be.
        generator: the method's only source of randomness; None: one with the seed 0.

    Raises:
        InvalidConfig: no prompt, an empty one, no segment wanted, or a method that did not answer every prompt.
    """
    if not prompts or not all(prompts):
        raise InvalidConfig("expected at least one prompt, and none of them empty")
    rules = Rules(lm, tuple(kinds), limits.max_text_ids, lm.writes.grammar(limits.max_audio_frames))
    with _evaluating(lm.model):
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
def _evaluating(model: Any) -> Iterator[None]:
    training = model.training
    if training:
        model.eval()
    try:
        yield
    finally:
        if training:
            model.train()
