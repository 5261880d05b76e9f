from __future__ import annotations

import itertools
import random

import pytest
import torch

from areca.errors import IncompatibleParts, InvalidArtifact, InvalidCodes, InvalidConfig
from areca.lm.patterns import CodeLayout
from areca.lm.vocabulary import Vocabulary
from areca.run.orders import ORDERS
from areca.specs import Stream
from areca.types import Codes


def make(pattern: str, rates: tuple[float | None, ...], size: int = 2) -> CodeLayout:
    streams = tuple(Stream(f"s-{k}", size + k, rate) for k, rate in enumerate(rates))
    return CodeLayout(Vocabulary.make(10, "h", {"a": streams, "z": streams}), "a", streams, pattern)


def codes(form: CodeLayout, frames: int, seed: int = 0) -> Codes:
    g = torch.Generator().manual_seed(seed)
    pairs = zip(form.streams, form.per_frame, strict=True)
    return Codes(tuple(torch.randint(s.size, (n * frames,), generator=g) for s, n in pairs))


RATES: list[tuple[str, tuple[float | None, ...]]] = [
    ("flatten", (25.0,)),
    ("flatten", (None,)),
    ("flatten", (25.0, 25.0, 25.0)),
    ("flatten", (25.0, 50.0)),
    ("flatten", (50.0, 12.5)),
    ("coarse-first", (25.0,)),
    ("coarse-first", (25.0, 50.0)),
    ("coarse-first", (75.0, 25.0, 50.0)),
    ("delay", (25.0,)),
    ("delay", (50.0, 50.0)),
    ("delay", (50.0, 50.0, 50.0, 50.0)),
]


@pytest.mark.parametrize("pattern, rates", RATES)
@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_decode_gives_back_what_encode_took(pattern: str, rates: tuple[float | None, ...], frames: int) -> None:
    form = make(pattern, rates)
    given = codes(form, frames)
    ids = form.encode(given)
    assert len(ids) == sum(len(s) for s in given.streams)
    back = form.decode(ids)
    assert all(torch.equal(a, b) for a, b in zip(given.streams, back.streams, strict=True))


def test_orders_written_out() -> None:
    one, two = (1, 1, 1), (1, 2)
    assert ORDERS["flatten"].sequence(two, 2) == [0, 1, 1, 0, 1, 1]
    assert ORDERS["coarse-first"].sequence(two, 2) == [0, 0, 1, 1, 1, 1]
    assert ORDERS["delay"].sequence(one, 3) == [0, 0, 1, 0, 1, 2, 1, 2, 2]
    assert ORDERS["delay"].sequence(one, 1) == [0, 1, 2]


@pytest.mark.parametrize("pattern, rates", RATES)
def test_the_grammar_allows_exactly_the_encodings(pattern: str, rates: tuple[float | None, ...]) -> None:
    """Enumerate all id sequences of up to `limit` frames that the grammar allows; compare with all encodings."""
    limit = {1: 4, 2: 2, 3: 2, 4: 2}[len(rates)]
    form = make(pattern, rates, size=1)
    grammar = form.grammar(limit)
    found, pending = set(), [((), grammar.start)]
    while pending:
        ids, state = pending.pop()
        start, stop, may_end = grammar.allowed(state)
        if may_end:
            found.add(ids)
        pending += [((*ids, i), grammar.advance(state, i)) for i in range(start, stop)]
    expected = set()
    for frames in range(1, limit + 1):
        spaces = [range(s.size) for s, n in zip(form.streams, form.per_frame, strict=True) for _ in range(n * frames)]
        for flat in itertools.product(*spaces):
            it = iter(flat)
            lengths = [n * frames for n in form.per_frame]
            streams = tuple(torch.tensor([next(it) for _ in range(n)]) for n in lengths)
            expected.add(tuple(form.encode(Codes(streams))))
    assert found == expected


@pytest.mark.parametrize("pattern, rates", RATES)
def test_a_random_walk_ends_and_says_whether_it_was_cut(pattern: str, rates: tuple[float | None, ...]) -> None:
    form, draw = make(pattern, rates, size=3), random.Random(0)
    for limit in (1, 2, 5, 40):
        grammar = form.grammar(limit)
        ids: list[int] = []
        state = grammar.start
        while True:
            start, stop, may_end = grammar.allowed(state)
            assert not (start == stop and not may_end)
            if may_end and (start == stop or draw.random() < 0.1):
                break
            ids.append(draw.randrange(start, stop))
            state = grammar.advance(state, ids[-1])
        frames = len(ids) // sum(form.per_frame)
        assert form.encode(form.decode(ids)) == ids
        assert 1 <= frames <= limit
        assert grammar.cut(state) == (frames == limit)


def test_ids_stay_inside_the_role() -> None:
    form = make("coarse-first", (25.0, 25.0))
    grammar = form.grammar(3)
    assert grammar.allowed(grammar.start) == (form.spans[0].start, form.spans[0].stop, False)
    after = grammar.advance(grammar.start, form.spans[0].start)
    assert grammar.allowed(after) == (form.spans[0].start, form.spans[1].stop, False)
    with pytest.raises(InvalidCodes, match="expected"):
        grammar.advance(grammar.start, form.spans[1].start)
    assert form.vocabulary.span("z/0").start >= form.spans[1].stop


def test_streams_that_disagree_by_a_frame_are_cut_and_by_more_refused() -> None:
    form = make("flatten", (25.0, 50.0))
    x = torch.zeros(40, dtype=torch.int64)
    assert len(form.encode(Codes((x[:10], x[:21])))) == 30
    assert len(form.encode(Codes((x[:11], x[:19])))) == 27
    with pytest.raises(InvalidCodes, match=r"\[10, 30\] codes"):
        form.encode(Codes((x[:10], x[:30])))


def test_wrong_codes_are_named() -> None:
    form = make("flatten", (25.0,))
    with pytest.raises(InvalidCodes, match="out of range"):
        form.encode(Codes((torch.tensor([5]),)))
    with pytest.raises(InvalidCodes, match="stream"):
        form.encode(Codes((torch.tensor([0]), torch.tensor([0]))))
    with pytest.raises(InvalidCodes, match="a/0"):
        form.decode([3])
    with pytest.raises(InvalidCodes, match="to a frame"):
        make("flatten", (25.0, 50.0)).decode([15, 17])
    with pytest.raises(InvalidCodes, match="at least one frame"):
        form.grammar(0)


def test_rates_that_do_not_go_together() -> None:
    with pytest.raises(IncompatibleParts, match="multiples"):
        make("flatten", (20.0, 50.0))
    with pytest.raises(IncompatibleParts, match="all vary"):
        make("flatten", (None, 50.0))
    with pytest.raises(IncompatibleParts, match="use flatten or coarse-first"):
        make("delay", (25.0, 50.0))
    with pytest.raises(InvalidConfig, match="did you mean 'flatten'"):
        make("flaten", (25.0,))


def test_json_round_trip() -> None:
    form = make("coarse-first", (25.0, 50.0))
    assert CodeLayout.from_json(form.vocabulary, form.to_json()) == form
    with pytest.raises(InvalidArtifact, match="role, pattern"):
        CodeLayout.from_json(form.vocabulary, {"role": "a"})


def test_a_format_of_another_size_than_the_vocabulary_is_refused() -> None:
    form = make("flatten", (25.0,))
    with pytest.raises(InvalidCodes, match="holds 2 codes"):
        CodeLayout(form.vocabulary, "a", (Stream("s-0", 9, 25.0),), "flatten")
