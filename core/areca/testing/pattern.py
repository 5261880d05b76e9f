"""Conformance checks of stream patterns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import torch

from areca.lm.patterns import CodeLayout, Pattern
from areca.lm.vocabulary import Vocabulary
from areca.specs import Order, PatternSpec, Stream
from areca.testing.checked import CheckedComponent
from areca.types import Codes

_COUNTED, _TURNED, _WALKED = 40, 12, 7
"""Maximum number of frames whose codes are counted, whose turns are compared, and whose ids are walked through."""
_SHAPES = ((1,), (1, 1), (1, 1, 1, 1), (1, 2), (2, 1, 4))
"""Codes of each stream in a frame. Unequal ones are left out if the pattern needs streams of one rate."""
_RATE_HZ = 12.5


def check_every_code_once(checked: CheckedComponent) -> None:
    """Each code of each stream has one position in the sequence, whatever the number of frames."""
    order = _spec(checked).order
    for shape, frames in _cases(checked, _COUNTED):
        found = Counter(order.sequence(shape, frames))
        expected = {k: n * frames for k, n in enumerate(shape)}
        assert found == expected, (
            f"{frames} frames of {list(shape)} codes: the sequence holds {dict(found)} codes by stream, "
            f"expected {expected}"
        )


def check_turn(checked: CheckedComponent) -> None:
    """`turn` is the first position at which a sequence differs from longer ones: it has a code of the next stream."""
    order = _spec(checked).order
    for shape, frames in _cases(checked, _TURNED):
        for more in range(frames + 1, _TURNED + 2):
            _check_turn(order, shape, frames, more)


def check_layout(checked: CheckedComponent) -> None:
    """Codes survive conversion to ids and back, the grammar allows the ids, and a checkpoint keeps the order."""
    for shape, frames in _cases(checked, _WALKED):
        layout = _layout(checked, shape)
        codes = _codes(layout, frames)
        ids = layout.encode(codes)
        back = layout.decode(ids)
        same = all(torch.equal(a, b) for a, b in zip(codes.streams, back.streams, strict=True))
        assert same, f"{frames} frames of {list(shape)} codes: decoding their ids gives other codes"
        _walk(layout, ids, frames)
        loaded = CodeLayout.from_json(layout.vocabulary, layout.to_json(), checked.registry)
        assert loaded.encode(codes) == ids, (
            f"read back from a checkpoint, the pattern gives another order: it keeps {layout.to_json()['pattern']}, "
            "so no option that changes the order may be a runtime one"
        )


def _check_turn(order: Order, shape: tuple[int, ...], frames: int, more: int) -> None:
    short, long, turn = order.sequence(shape, frames), order.sequence(shape, more), order.turn(shape, frames)
    same = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    what = f"{frames} and {more} frames of {list(shape)} codes"
    assert turn == same, f"{what}: the sequences first differ at {same}, turn says {turn}"
    if turn < len(short):
        assert short[turn] == long[turn] + 1, (
            f"{what}: at {turn} comes stream {short[turn]}, where the longer sequence has stream {long[turn]}: "
            f"expected stream {long[turn] + 1}"
        )


def _walk(layout: CodeLayout, ids: list[int], frames: int) -> None:
    grammar = layout.grammar(_WALKED)
    state = grammar.start
    for position, (k, i) in enumerate(zip(layout.order(frames), ids, strict=True)):
        if layout.is_parallel and k > 0 and grammar.slot(state) == 0:
            decided = grammar.decide(state)
            assert decided is not None, f"{frames} frames: at {position}, the first stream may not end"
            state = decided
        allowed = grammar.allowed(state)
        assert allowed.start <= i < allowed.stop, (
            f"{frames} frames: the id at {position} is {i}, the grammar allows [{allowed.start}, {allowed.stop})"
        )
        state = grammar.advance(state, i)
    assert grammar.allowed(state).end >= 0, f"{frames} frames: after the last id, the segment may not end"


def _cases(checked: CheckedComponent, most: int) -> Iterator[tuple[tuple[int, ...], int]]:
    shapes = [shape for shape in _SHAPES if not _spec(checked).one_rate or set(shape) == {1}]
    return ((shape, frames) for shape in shapes for frames in range(1, most + 1))


def _layout(checked: CheckedComponent, shape: tuple[int, ...]) -> CodeLayout:
    streams = tuple(Stream(f"s-{k}", 3 + k, n * _RATE_HZ) for k, n in enumerate(shape))
    vocabulary = Vocabulary.make(7, "", {"speech": streams})
    return CodeLayout(vocabulary, "speech", streams, Pattern.of(checked.part))


def _codes(layout: CodeLayout, frames: int) -> Codes:
    pairs = zip(layout.streams, layout.per_frame, strict=True)
    return Codes(tuple(torch.arange(n * frames) % stream.size for stream, n in pairs))


def _spec(checked: CheckedComponent) -> PatternSpec:
    spec = checked.part.spec
    assert isinstance(spec, PatternSpec)
    return spec
