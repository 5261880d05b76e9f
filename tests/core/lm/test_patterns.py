"""Stream patterns: exact round trips, their grammar, and refused codes and rates."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch
from tests import parts

from areca.errors import IncompatibleParts, InvalidArtifact, InvalidCodes, UnknownComponent
from areca.lm.patterns import CodeLayout, Pattern
from areca.lm.vocabulary import Control, Vocabulary
from areca.specs import Stream
from areca.types import Codes


def make(pattern: str, rates: tuple[float | None, ...], size: int = 2) -> CodeLayout:
    streams = tuple(Stream(f"s-{k}", size + k, rate) for k, rate in enumerate(rates))
    return CodeLayout(
        Vocabulary.make(10, "h", {"a": streams, "z": streams}), "a", streams, Pattern.of(parts.pattern(pattern))
    )


def codes(layout: CodeLayout, frames: int, seed: int = 0) -> Codes:
    g = torch.Generator().manual_seed(seed)
    pairs = zip(layout.streams, layout.per_frame, strict=True)
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
def test_decoding_inverts_encoding(pattern: str, rates: tuple[float | None, ...], frames: int) -> None:
    layout = make(pattern, rates)
    given = codes(layout, frames)
    ids = layout.encode(given)
    assert len(ids) == sum(len(s) for s in given.streams)
    back = layout.decode(ids)
    assert all(torch.equal(a, b) for a, b in zip(given.streams, back.streams, strict=True))


@pytest.mark.parametrize("pattern, rates", RATES)
def test_the_grammar_allows_exactly_the_encodings(pattern: str, rates: tuple[float | None, ...]) -> None:
    """Enumerate all id sequences of up to `limit` frames that the grammar allows; compare with all encodings."""
    limit = {1: 4, 2: 2, 3: 2, 4: 2}[len(rates)]
    layout = make(pattern, rates, size=1)
    grammar = layout.grammar(limit)
    found, pending = set(), [((), grammar.start)]
    while pending:
        ids, state = pending.pop()
        start, stop, end = grammar.allowed(state)
        if end >= 0:
            found.add(ids)
        pending += [((*ids, i), grammar.advance(state, i)) for i in range(start, stop)]
    expected = set()
    for frames in range(1, limit + 1):
        sizes = zip(layout.streams, layout.per_frame, strict=True)
        spaces = [range(s.size) for s, n in sizes for _ in range(n * frames)]
        for flat in itertools.product(*spaces):
            it = iter(flat)
            lengths = [n * frames for n in layout.per_frame]
            streams = tuple(torch.tensor([next(it) for _ in range(n)]) for n in lengths)
            expected.add(tuple(layout.encode(Codes(streams))))
    assert found == expected


@pytest.mark.parametrize("pattern, rates", RATES)
def test_a_random_walk_ends_and_says_whether_it_was_cut(pattern: str, rates: tuple[float | None, ...]) -> None:
    layout, draw = make(pattern, rates, size=3), random.Random(0)
    for limit in (1, 2, 5, 40):
        grammar = layout.grammar(limit)
        ids: list[int] = []
        state = grammar.start
        while True:
            start, stop, end = grammar.allowed(state)
            assert end in (-1, layout.vocabulary.control(Control.END_AUDIO))
            assert start < stop or end >= 0
            if end >= 0 and (start == stop or draw.random() < 0.1):
                break
            ids.append(draw.randrange(start, stop))
            state = grammar.advance(state, ids[-1])
        frames = len(ids) // sum(layout.per_frame)
        assert layout.encode(layout.decode(ids)) == ids
        assert 1 <= frames <= limit
        assert grammar.is_cut(state) == (frames == limit)


def test_ids_stay_inside_the_role() -> None:
    layout = make("coarse-first", (25.0, 25.0))
    grammar = layout.grammar(3)
    assert grammar.allowed(grammar.start) == (layout.spans[0].start, layout.spans[0].stop, -1)
    after = grammar.advance(grammar.start, layout.spans[0].start)
    assert grammar.allowed(after) == (layout.spans[0].start, layout.spans[1].stop, -1)
    with pytest.raises(InvalidCodes, match="expected"):
        grammar.advance(grammar.start, layout.spans[1].start)
    assert layout.vocabulary.span("z/0").start >= layout.spans[1].stop


def test_streams_that_disagree_by_a_frame_are_cut_and_by_more_refused() -> None:
    layout = make("flatten", (25.0, 50.0))
    x = torch.zeros(40, dtype=torch.int64)
    assert len(layout.encode(Codes((x[:10], x[:21])))) == 30
    assert len(layout.encode(Codes((x[:11], x[:19])))) == 27
    with pytest.raises(InvalidCodes, match=r"\[10, 30\] codes"):
        layout.encode(Codes((x[:10], x[:30])))


def test_wrong_codes_are_named() -> None:
    layout = make("flatten", (25.0,))
    with pytest.raises(InvalidCodes, match="out of range"):
        layout.encode(Codes((torch.tensor([5]),)))
    with pytest.raises(InvalidCodes, match="stream"):
        layout.encode(Codes((torch.tensor([0]), torch.tensor([0]))))
    with pytest.raises(InvalidCodes, match="a/0"):
        layout.decode([3])
    with pytest.raises(InvalidCodes, match="to a frame"):
        make("flatten", (25.0, 50.0)).decode([15, 17])
    with pytest.raises(InvalidCodes, match="at least one frame"):
        layout.grammar(0)


def test_incompatible_rates_are_refused() -> None:
    with pytest.raises(IncompatibleParts, match="multiples"):
        make("flatten", (20.0, 50.0))
    with pytest.raises(IncompatibleParts, match="all vary"):
        make("flatten", (None, 50.0))
    with pytest.raises(IncompatibleParts, match="the pattern needs streams of one rate"):
        make("delay", (25.0, 50.0))
    several = make("flatten", (25.0, 25.0))
    with pytest.raises(IncompatibleParts, match="2 streams need a pattern, as lm:"):
        CodeLayout(several.vocabulary, "a", several.streams)


def test_json_round_trip() -> None:
    layout = make("coarse-first", (25.0, 50.0))
    assert CodeLayout.from_json(layout.vocabulary, layout.to_json(), parts.REGISTRY) == layout
    with pytest.raises(InvalidArtifact, match="role, pattern"):
        CodeLayout.from_json(layout.vocabulary, {"role": "a"}, parts.REGISTRY)


def test_one_stream_needs_no_pattern() -> None:
    with_one = make("delay", (25.0,))
    without = CodeLayout(with_one.vocabulary, "a", with_one.streams)
    given = codes(without, 5)
    assert without.encode(given) == with_one.encode(given)
    assert torch.equal(without.decode(without.encode(given)).streams[0], given.streams[0])
    assert without.to_json()["pattern"] is None
    assert CodeLayout.from_json(without.vocabulary, without.to_json(), parts.REGISTRY) == without


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"revision": 7}, InvalidArtifact, "trained with revision 7 of the pattern areca:patterns/delay; areca .* has"),
        ({"component": "acme:acme/delay"}, UnknownComponent, "no pattern is called 'acme:acme/delay'"),
        ({"options": {"stride": 2}}, InvalidArtifact, "no option is called 'stride'"),
        ({"options": None}, InvalidArtifact, "expected component, revision and options"),
    ],
)
def test_a_pattern_other_than_the_trained_one_is_refused(change: Any, error: Any, message: str) -> None:
    layout = make("delay", (25.0, 25.0))
    written = layout.to_json()
    assert written["pattern"] == {"component": "areca:patterns/delay", "revision": 1, "options": {}}
    with pytest.raises(error, match=message):
        CodeLayout.from_json(layout.vocabulary, written | {"pattern": written["pattern"] | change}, parts.REGISTRY)


def test_a_layout_of_another_size_than_the_vocabulary_is_refused() -> None:
    layout = make("flatten", (25.0,))
    with pytest.raises(InvalidCodes, match="holds 2 codes"):
        CodeLayout(layout.vocabulary, "a", (Stream("s-0", 9, 25.0),), layout.pattern)
