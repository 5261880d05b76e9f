"""What the checks of the tag ``stream`` share. They are the same for tokenizers and vocoders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest

import torch

from areca.errors import InvalidCodes
from areca.interfaces import SpeechSession
from areca.specs import Stream
from areca.testing.tools import expect_refusal
from areca.types import Audio, Codes

TOLERANCE = 0.01
"""Largest difference from the whole, as a share of its highest sample."""
LONG_S = 10.0
"""Seconds of an utterance whose first audio must come before its last codes."""
_SIZES = (1, 7, 1 << 20)
"""Frames in a push; the largest is more than any utterance has. Pushes of one frame take the longest."""

Open = Callable[[], SpeechSession]


def expect_pieces_of_wholes(
    open_session: Open, codes: Sequence[Codes], streams: Sequence[Stream], wholes: Sequence[Audio]
) -> None:
    """Assert that pushes of any size together give the audio of the whole; one frame at a time only for the first."""
    for number, pair in enumerate(zip(codes, wholes, strict=True)):
        _expect_pieces_of_whole(open_session, *pair, streams, _SIZES[min(number, 1) :])


def _expect_pieces_of_whole(
    open_session: Open, codes: Codes, whole: Audio, streams: Sequence[Stream], sizes: Sequence[int]
) -> None:
    for size in sizes:
        pieces = _play(open_session(), split(codes, streams, size))
        for piece in pieces:
            got, expected = (piece.sample_rate_hz, piece.channels), (whole.sample_rate_hz, whole.channels)
            assert got == expected, (
                f"a piece has {got[0]} Hz x {got[1]} channels, the whole {expected[0]} x {expected[1]}"
            )
        frames = f"pushes of {size} frame(s)" if size < _SIZES[-1] else "one push of all frames"
        count, length = sum(p.samples.shape[1] for p in pieces), whole.samples.shape[1]
        assert count == length, f"{frames} gave {count} samples, the whole has {length}"
        difference = float((_join(pieces) - whole.samples).abs().max())
        highest = float(whole.samples.abs().max())
        assert difference <= TOLERANCE * highest, (
            f"{frames} gave other audio than the whole: samples differ by up to {difference:.2g}, expected at most "
            f"{TOLERANCE:.0%} of the highest, {highest:.2g}"
        )


def expect_independence(open_session: Open, codes: Sequence[Codes], streams: Sequence[Stream]) -> None:
    """Assert that two sessions that are pushed in turns give what each gives alone."""
    pushes = [list(split(c, streams, 5)) for c in codes[:2]]
    alone = [_play(open_session(), parts) for parts in pushes]
    sessions = [open_session() for _ in pushes]
    together: list[list[Audio]] = [[], []]
    for turn in zip_longest(*pushes):
        for k, part in enumerate(turn):
            if part is not None and (audio := sessions[k].push(part)) is not None:
                together[k].append(audio)
    for k, session in enumerate(sessions):
        together[k].extend(_finish(session))
        assert torch.equal(_join(together[k]), _join(alone[k])), (
            "two sessions that were pushed in turns gave other audio than one after the other"
        )


def expect_early_audio(session: SpeechSession, codes: Codes, streams: Sequence[Stream]) -> None:
    """Assert that audio comes before the codes end."""
    parts = list(split(codes, streams, 1))
    assert any(session.push(part) is not None for part in parts), (
        f"{len(parts)} frames ({LONG_S:g} s) gave no audio before `finish`"
    )


def expect_refused_codes(open_session: Open, codes: Codes, streams: Sequence[Stream]) -> None:
    """Assert that wrong codes raise `InvalidCodes` and leave the session unchanged."""
    session = open_session()
    for code in (-1, streams[0].size):
        wrong = codes.streams[0].clone()
        wrong[-1] = code
        bad = Codes((wrong, *codes.streams[1:]), codes.durations)
        expect_refusal(InvalidCodes, lambda bad=bad: session.push(bad), f"code {code} of {streams[0]}")  # type: ignore[misc]
    empty = Codes(tuple(s[:0] for s in codes.streams), None if codes.durations is None else codes.durations[:0])
    expect_refusal(InvalidCodes, lambda: session.push(empty), "a push without codes")
    after, fresh = (_join(_play(s, [codes])) for s in (session, open_session()))
    assert torch.equal(after, fresh), "refused codes changed the audio of the codes after them"


def split(codes: Codes, streams: Sequence[Stream], size: int) -> Iterator[Codes]:
    """Yield the codes of `size` frames at a time; a frame has one code of the slowest stream."""
    rates = [s.frame_rate_hz or 0.0 for s in streams]
    per_frame = [round(rate / min(rates)) if min(rates) else 1 for rate in rates]
    frames = min(len(s) // n for s, n in zip(codes.streams, per_frame, strict=True))
    for start in range(0, frames, size):
        stop = min(start + size, frames)
        durations = None if codes.durations is None else codes.durations[start:stop]
        parts = (s[start * n : stop * n] for s, n in zip(codes.streams, per_frame, strict=True))
        yield Codes(tuple(parts), durations, codes.fingerprint)


def repeat(codes: Codes, times: int) -> Codes:
    """Return an utterance's codes, repeated."""
    durations = None if codes.durations is None else codes.durations.repeat(times)
    return Codes(tuple(s.repeat(times) for s in codes.streams), durations, codes.fingerprint)


def _play(session: SpeechSession, parts: Iterator[Codes] | Sequence[Codes]) -> list[Audio]:
    pieces = [audio for part in parts if (audio := session.push(part)) is not None]
    return [*pieces, *_finish(session)]


def _finish(session: SpeechSession) -> list[Audio]:
    rest = session.finish()
    return [] if rest is None else [rest]


def _join(pieces: Sequence[Audio]) -> torch.Tensor:
    return torch.cat([p.samples for p in pieces], 1) if pieces else torch.zeros(1, 0)
