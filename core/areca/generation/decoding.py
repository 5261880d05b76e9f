"""For authors of decoding methods: the protocol of a method, and a loop that only needs a function to pick ids.

A decoding method is a component of the kind `areca.component.Kind.DECODING`. Most only pick the next id of each
sequence, which is a few lines with `step_by_step`::

    class MinP:
        def __init__(self, config):
            self.config = config

        def search(self, rules, prompts, generator):
            return step_by_step(rules, prompts, self.pick, generator)

        def pick(self, logits, growing):
            probabilities = logits.float().cpu().softmax(-1)
            floor = self.config.min_p * probabilities.max(-1, keepdim=True).values
            rows = probabilities.where(probabilities >= floor, 0.0)
            return [draw(row, one.generator) for row, one in zip(rows, growing, strict=True)]

A method that keeps several answers side by side, as beam search, uses `areca.generation.stepping.Stepper`,
`areca.generation.answers.Cursor` and `allowed_logits` itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from areca.errors import InvalidConfig
from areca.generation.answers import Cursor, Rules
from areca.generation.stepping import Stepper
from areca.lm.heads import Head
from areca.lm.model import SpeechLM
from areca.lm.patterns import Allowed
from areca.lm.steps import Steps


@runtime_checkable
class DecodingMethod(Protocol):
    """A decoding method: answers prompts under given rules."""

    def search(self, rules: Rules, prompts: Sequence[Steps], generator: torch.Generator) -> list[Cursor]:
        """Return a finished answer to each prompt. It does not depend on the other prompts.

        Args:
            rules: the rules that answers obey; an answer is a ``Cursor(rules)`` that grows by ``push``.
            prompts: the prompts; they may differ in length.
            generator: the only source of randomness; see `generators_for`.
        """


@runtime_checkable
class Picks(Protocol):
    """A decoding method that only picks the next id of each sequence, so that its answers can be streamed."""

    def pick(self, logits: Tensor, growing: Sequence[Growing]) -> Sequence[int]:
        """Return a column for each row; see `Pick`."""


@dataclass(frozen=True, slots=True)
class Growing:
    """A sequence whose next id is to be picked.

    Args:
        cursor: the answer so far: ``cursor.ids``, and ``cursor.allowed``, which maps columns to ids and back.
        generator: this sequence's own generator, on the CPU, so that its draws do not depend on other sequences.
    """

    cursor: Cursor
    generator: torch.Generator


Pick = Callable[[Tensor, Sequence[Growing]], Sequence[int]]
"""Takes the logits of the allowed ids, ``[B, V]``, and B sequences with the same allowed ids; returns B columns."""


def step_by_step(rules: Rules, prompts: Sequence[Steps], pick: Pick, generator: torch.Generator) -> list[Cursor]:
    """Grow an answer to each prompt, all at once, a step at a time. `pick` is not called if only one id is allowed.

    Args:
        rules: the rules that answers obey.
        prompts: the prompts.
        pick: chooses among the allowed ids; see `Pick`.
        generator: draws the seed of each sequence's own generator.

    Raises:
        InvalidConfig: `pick` did not return one column for each row.
    """
    *_, cursors = grow(rules, prompts, pick, generator)
    return cursors


def grow(rules: Rules, prompts: Sequence[Steps], pick: Pick, generator: torch.Generator) -> Iterator[list[Cursor]]:
    """Do the work of `step_by_step`, and yield all answers after each step. The cursors are changed by the next step.

    Raises:
        InvalidConfig: as for `step_by_step`.
    """
    growing = [Growing(Cursor(rules), own) for own in generators_for(generator, len(prompts))]
    yield from grow_begun(growing, prompts, pick)


def grow_begun(growing: Sequence[Growing], prompts: Sequence[Steps], pick: Pick) -> Iterator[list[Cursor]]:
    """Do the work of `grow` for answers that may already have ids, each under its own rules and with its own generator.

    So an answer can continue given codes::

        cursor = Cursor(Rules.of(lm, task.outputs, Limits(), {name: frames}))
        cursor.push_forced()  # the beginning of audio
        for i in lm.layout.of("acoustic").encode(codes):
            cursor.push(i)
        *_, [cursor] = grow_begun([Growing(cursor, generator)], [lm.prompt(task, values)], pick)

    Args:
        growing: unfinished answers of one LM, between two steps. If a step of the LM has several slots, they are empty.
        prompts: the prompt of each answer, without the ids of the answer.
        pick: as for `step_by_step`.

    Raises:
        InvalidConfig: as for `step_by_step`.
    """
    for one in growing:
        one.cursor.push_forced()  # processed together with the prompt
    given = [Steps.join([prompt, Steps.of(one.cursor.ids)]) for prompt, one in zip(prompts, growing, strict=True)]
    lm = growing[0].cursor.rules.lm
    stepper, live = Stepper(lm, given), growing
    while True:
        # Append a step to each unfinished answer.
        if lm.slots == 1:
            _push(live, _choose(lm.head, stepper.hidden, live, pick))
        else:
            _grow_steps(lm, stepper.hidden, live, pick)
        yield [one.cursor for one in growing]
        # Drop finished answers, and advance the LM.
        kept = [row for row, one in enumerate(live) if not one.cursor.done]
        if not kept:
            return
        if len(kept) < len(live):
            stepper.select(kept)
            live = [live[row] for row in kept]
        stepper.step([one.cursor.step for one in live])


def _push(live: Sequence[Growing], ids: Sequence[int]) -> None:
    for one, chosen in zip(live, ids, strict=True):
        one.cursor.push(chosen)


def _grow_steps(lm: SpeechLM, hidden: Tensor, live: Sequence[Growing], pick: Pick) -> None:
    """Choose the ids of a step for each sequence, a slot at a time."""
    for one in live:
        one.cursor.open_step()
    if first := [row for row, one in enumerate(live) if not one.cursor.in_step]:
        begun = [live[row] for row in first]
        _push(begun, _choose(lm.head, hidden[first], begun, pick))
    while rows := [row for row, one in enumerate(live) if not one.cursor.done and one.cursor.in_step]:
        slot = min(live[row].cursor.slot for row in rows)
        rows = [row for row in rows if live[row].cursor.slot == slot]
        begun = [live[row] for row in rows]
        ids = torch.tensor([one.cursor.step[:slot] for one in begun], device=hidden.device)
        _push(begun, _choose(lm.head, lm.slot_states(hidden[rows], ids)[:, slot - 1], begun, pick))


def generators_for(generator: torch.Generator, count: int) -> list[torch.Generator]:
    """Return a generator for each of `count` sequences, seeded in order from `generator`; on the CPU."""
    seeds = torch.randint(2**62, (count,), generator=generator, device=generator.device).tolist()
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def allowed_logits(head: Head, hidden: Tensor, allowed: Allowed) -> Tensor:
    """Return the logits of the allowed ids.

    Args:
        head: the LM's output head; it is only computed at the allowed rows.
        hidden: float ``[B, H]``.
        allowed: the allowed ids of all rows; at least two.

    Returns:
        ``[B, stop - start]`` in the order of the ids, and one more column for `end` where the segment may end.
    """
    logits = head.logits(hidden, range(allowed.start, allowed.stop))
    if allowed.end < 0:
        return logits
    return torch.cat([logits, head.logits(hidden, range(allowed.end, allowed.end + 1))], dim=-1)


def draw(probabilities: Tensor, generator: torch.Generator) -> int:
    """Return a column drawn from probabilities ``[V]``, which need not sum to 1."""
    return int(torch.multinomial(probabilities, 1, generator=generator))


def _choose(head: Head, hidden: Tensor, live: Sequence[Growing], pick: Pick) -> list[int]:
    allowed = [one.cursor.allowed for one in live]
    if len(set(allowed)) == 1:  # the usual case: no rows to gather
        return _choose_alike(head, hidden, live, pick)
    ids = [0] * len(live)
    for alike in dict.fromkeys(allowed):
        rows = [row for row, other in enumerate(allowed) if other == alike]
        for row, i in zip(rows, _choose_alike(head, hidden[rows], [live[r] for r in rows], pick), strict=True):
            ids[row] = i
    return ids


def _choose_alike(head: Head, hidden: Tensor, live: Sequence[Growing], pick: Pick) -> list[int]:
    allowed = live[0].cursor.allowed
    if allowed.is_forced:
        return [allowed.end] * len(live)
    logits = allowed_logits(head, hidden, allowed)
    columns = list(pick(logits, live))
    if len(columns) != len(live) or not all(0 <= column < logits.shape[1] for column in columns):
        raise InvalidConfig(
            f"a decoding method picked {columns[:8]}: expected {len(live)} columns, each in [0, {logits.shape[1]})"
        )
    return [allowed.id(column) for column in columns]
