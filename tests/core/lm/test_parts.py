"""Parts of a role's streams: their layout, their grammar with an exact length, and their loss."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from tests import parts
from torch.nn import functional as F

from areca.errors import InvalidCodes
from areca.fields import Field
from areca.generation.generate import generate
from areca.lm.model import SpeechLM
from areca.specs import Stream
from areca.tasks import AudioSegment, Task
from areca.testing.tiny import tiny_backbone
from areca.types import Codes

STREAMS = tuple(Stream(f"q-{k}", 3 + k, 25.0) for k in range(4))
PATTERNS = ("flatten", "coarse-first", "delay", "parallel", "parallel-delay")
COARSE, FINE = (Field("source.audio", "sound", streams) for streams in ((0, 2), (2, 4)))
TASK = Task("FINE", (COARSE,), (FINE,), format="")
UNITS = (Stream("unit", 7, 25.0),)


def extend(pattern: str, **options: Any) -> SpeechLM:
    roles = {"sound": STREAMS, "speech": UNITS}
    options = {"pattern": parts.pattern(pattern), "init": "normal", **options}
    return SpeechLM.extend(tiny_backbone(), roles, **options).eval()


def codes(streams: range, frames: int = 5) -> Codes:
    return Codes(tuple((torch.arange(frames) * (k + 1)) % (3 + k) for k in streams))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_part_has_the_ids_of_its_streams_in_the_roles_pattern(pattern: str) -> None:
    lm = extend(pattern)
    whole, part = lm.layout.of("sound"), lm.layout.of("sound", (2, 4))
    assert part.spans == whole.spans[2:] and part.is_parallel == whole.is_parallel
    assert lm.layout.of("sound", (0, 4)) is whole
    given = codes(range(2, 4))
    ids = part.encode(given)
    assert {*ids} <= {i for span in whole.spans[2:] for i in span}
    assert all(torch.equal(a, b) for a, b in zip(part.decode(ids).streams, given.streams, strict=True))
    for role, streams, message in (
        ("sound", (2, 5), r"streams \(2, 5\) of 'sound': expected two of 0 to 4"),
        ("sond", None, "the LM has no role 'sond': expected one of sound, speech"),
    ):
        with pytest.raises(InvalidCodes, match=message):
            lm.layout.of(role, streams)


@pytest.mark.parametrize("pattern", ["flatten", "coarse-first", "delay"])
def test_an_exact_grammar_allows_exactly_the_encodings_of_its_length(pattern: str) -> None:
    layout = extend(pattern).layout.of("sound", (0, 2))
    grammar = layout.grammar(2, exact=True)
    found, pending = set(), [((), grammar.start)]
    while pending:
        ids, state = pending.pop()
        start, stop, end = grammar.allowed(state)
        if end >= 0:
            found.add(ids)
            assert not grammar.is_cut(state)
        pending += [((*ids, i), grammar.advance(state, i)) for i in range(start, stop)]
    spaces = [range(3)] * 2 + [range(4)] * 2
    flat = itertools.product(*spaces)
    assert found == {tuple(layout.encode(Codes((torch.tensor(x[:2]), torch.tensor(x[2:]))))) for x in flat}


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("heads", ["tied", "depth"])
def test_an_answer_of_a_part_has_its_role_its_streams_and_an_exact_length(pattern: str, heads: Any) -> None:
    lm = extend(pattern, heads=heads, writes="sound", reads="speech")
    prompts = [lm.prompt(TASK, {COARSE.name: codes(range(2), frames)}) for frames in (3, 5)]
    for method in ("greedy", "sample"):
        for found in generate(lm, prompts, TASK.outputs, parts.method(method), frames={FINE.name: 6}):
            [segment] = found.segments
            assert isinstance(segment, AudioSegment) and (segment.role, segment.streams) == ("sound", (2, 4))
            assert [len(x) for x in segment.codes.streams] == [6, 6] and found.cut == (False,)
            example = lm.encode(TASK, {COARSE.name: codes(range(2)), FINE.name: segment.codes})
            assert example.ids.tolist()[-len(found.ids) :] == list(found.ids)


@pytest.mark.parametrize("heads", ["tied", "depth"])
@torch.no_grad()
def test_the_loss_of_a_part_equals_a_plain_reference(heads: Any) -> None:
    lm = extend("parallel", heads=heads, writes="sound", reads="speech")
    example = lm.encode(TASK, {COARSE.name: codes(range(2)), FINE.name: codes(range(2, 4))})
    grid = example.steps.grid(lm.slots)
    nats = lm({"ids": grid[None], "target": example.target[None]}).nats.detach()
    states = lm.run(grid[None]).last_hidden_state[0]
    table = lm.model.get_output_embeddings().weight
    expected = 0.0
    for step in example.target.nonzero()[:, 0].tolist():
        expected += float(F.cross_entropy(states[step - 1] @ table.T, grid[step, 0]))
        if grid[step, 1] >= 0:  # the second of the two streams, in slot 1
            span = lm.layout.of("sound").spans[3]
            [[hidden]] = lm.slot_states(states[step - 1][None], grid[step][None, :1])
            expected += float(F.cross_entropy(hidden @ table[span.start : span.stop].T, grid[step, 1] - span.start))
    assert len(nats) == 5 * 2 + 3
    assert float(nats.sum()) == pytest.approx(expected, rel=1e-5)
