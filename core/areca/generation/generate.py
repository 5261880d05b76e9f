"""Answers of a speech LM, generated segment by segment under the rules of what a task produces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from areca.errors import InvalidConfig
from areca.generation.answers import Choice, Cursor, Rules
from areca.generation.beam import beam_search
from areca.generation.choosing import Sampling, allowed_logits, column_id, pick
from areca.generation.stepping import Stepper
from areca.lm.heads import Head
from areca.lm.model import SpeechLM
from areca.lm.vocabulary import Control
from areca.run.options import Decoding
from areca.tasks import Segment, SegmentKind


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer.

    Args:
        segments: of the kinds that were asked for, in order.
        cut: for each, whether it was ended by its limit and not by the LM.
        ids: what the LM wrote, controls included.
    """

    segments: tuple[Segment, ...]
    cut: tuple[bool, ...]
    ids: tuple[int, ...]


@torch.inference_mode()
def generate(
    lm: SpeechLM,
    prompts: Sequence[Sequence[int]],
    kinds: Sequence[SegmentKind],
    decoding: Decoding | None = None,
    *,
    generator: torch.Generator | None = None,
) -> list[Generated]:
    """Answer prompts, all at once; each gets the answer that it would get alone.

    Args:
        lm: a speech LM.
        prompts: ids from `SpeechLM.prompt_ids`; they may differ in length.
        kinds: kinds of the segments wanted, `Task.answer_kinds`.
        decoding: how answers are chosen; None: greedily.
        generator: where sampling gets a seed for each prompt, in order; None: one that starts at 0.

    Raises:
        InvalidConfig: no prompt, an empty one, or no segment wanted.
    """
    decoding = decoding or Decoding()
    if not prompts or not all(prompts):
        raise InvalidConfig("expected at least one prompt, and none of them empty")
    rules = Rules(lm, tuple(kinds), decoding.max_text_ids, lm.writes.grammar(decoding.max_audio_frames))
    with _evaluating(lm.model):
        if decoding.method == "beam":
            cursors = [beam_search(rules, p, decoding.beams, decoding.length_penalty) for p in prompts]
        else:
            cursors = _search(rules, prompts, _samplings(decoding, len(prompts), generator))
    return [Generated(c.segments(), tuple(c.cut), tuple(c.ids)) for c in cursors]


def _samplings(decoding: Decoding, count: int, generator: torch.Generator | None) -> list[Sampling | None]:
    if decoding.method == "greedy":
        return [None] * count
    generator = generator or torch.Generator().manual_seed(0)
    seeds = torch.randint(2**62, (count,), generator=generator, device=generator.device).tolist()
    return [
        Sampling(decoding.temperature, decoding.top_k, decoding.top_p, torch.Generator().manual_seed(seed))
        for seed in seeds
    ]


def _search(rules: Rules, prompts: Sequence[Sequence[int]], samplings: list[Sampling | None]) -> list[Cursor]:
    cursors = [Cursor(rules) for _ in prompts]
    begun = [_force(cursor) for cursor in cursors]  # goes into the prompt's own pass
    head, pad = rules.lm.head, rules.lm.vocabulary.control(Control.PAD)
    stepper = Stepper(rules.lm.model, [[*p, *b] for p, b in zip(prompts, begun, strict=True)], pad)
    live = list(range(len(cursors)))
    while True:
        ids = _choose(head, stepper.hidden, [cursors[i].choice for i in live], [samplings[i] for i in live])
        for i, chosen in zip(live, ids, strict=True):
            cursors[i].push(chosen)
        kept = [row for row, i in enumerate(live) if not cursors[i].done]
        if not kept:
            return cursors
        if len(kept) < len(live):
            stepper.select(kept)
            live, ids = [live[row] for row in kept], [ids[row] for row in kept]
        stepper.step(ids)


def _force(cursor: Cursor) -> list[int]:
    while cursor.choice.forced:
        cursor.push(cursor.choice.end)
    return cursor.ids.copy()


def _choose(head: Head, hidden: Tensor, choices: list[Choice], samplings: list[Sampling | None]) -> list[int]:
    if len(set(choices)) == 1:  # the usual case: no rows to gather
        return _choose_alike(head, hidden, choices[0], samplings)
    ids = [0] * len(choices)
    for choice in dict.fromkeys(choices):
        rows = [row for row, c in enumerate(choices) if c == choice]
        for row, i in zip(rows, _choose_alike(head, hidden[rows], choice, [samplings[r] for r in rows]), strict=True):
            ids[row] = i
    return ids


def _choose_alike(head: Head, hidden: Tensor, choice: Choice, samplings: list[Sampling | None]) -> list[int]:
    if choice.forced:
        return [choice.end] * len(samplings)
    return [column_id(choice, column) for column in pick(allowed_logits(head, hidden, choice), samplings)]


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
