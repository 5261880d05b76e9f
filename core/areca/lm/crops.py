"""Cut the codes of a recording to a span in seconds, the same span for every tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import torch

from areca.specs import TokenizerSpec
from areca.types import Codes

CodesByRole = Mapping[str, Codes]
"""The codes of one recording by the role of the tokenizer that encoded them."""


def seconds_of(codes: Codes, spec: TokenizerSpec) -> Fraction | None:
    """Return how long the codes last, by their shortest stream; None: their rate varies, and they have no durations.

    Args:
        codes: the codes of one recording.
        spec: their tokenizer's.
    """
    lengths: list[Fraction] = []
    for stream, x in zip(spec.streams, codes.streams, strict=True):
        if stream.frame_rate_hz is not None:
            lengths.append(len(x) / _exact(stream.frame_rate_hz))
        elif codes.durations is None or spec.base_rate_hz is None:
            return None
        else:
            lengths.append(int(codes.durations.sum()) / _exact(spec.base_rate_hz))
    return min(lengths)


def crop(
    codes: CodesByRole, specs: Mapping[str, TokenizerSpec], most_s: float, start: float
) -> tuple[CodesByRole, float]:
    """Cut the codes of one recording to the same span of whole frames of the slowest stream.

    Args:
        codes: the codes by role; a recording of at most `most_s` stays whole.
        specs: the tokenizers by role.
        most_s: longest span in seconds; at least one frame is kept.
        start: where the span starts, in [0, 1): a share of all its possible starts.

    Returns:
        the codes of the span, and its length in seconds.
    """
    lengths = [length for role, x in codes.items() if (length := seconds_of(x, specs[role])) is not None]
    assert len(lengths) == len(codes), "`validate` refuses crops of codes without times"
    length = min(lengths)
    frame = max(_frame_s(specs[role]) for role in codes)
    frames, kept = int(length / frame), max(1, int(Fraction(most_s).limit_denominator(10**6) / frame))
    if kept >= frames:
        return codes, float(length)
    first = int(start * (frames - kept + 1))
    span = first * frame, (first + kept) * frame
    return {role: _cut(x, specs[role], *span) for role, x in codes.items()}, float(kept * frame)


def join(pieces: Sequence[Codes]) -> Codes:
    """Return the codes of several recordings, one after the other."""
    streams = zip(*(piece.streams for piece in pieces), strict=True)
    durations = [piece.durations for piece in pieces if piece.durations is not None]
    return Codes(
        tuple(torch.cat(stream) for stream in streams),
        torch.cat(durations) if durations else None,
        pieces[0].fingerprint,
    )


def select_streams(codes: Codes, streams: tuple[int, int] | None) -> Codes:
    """Return only the streams ``[first, stop)``; None: all."""
    if streams is None:
        return codes
    durations = codes.durations if streams[0] == 0 else None  # they are those of the first stream
    return Codes(codes.streams[slice(*streams)], durations, codes.fingerprint)


def _frame_s(spec: TokenizerSpec) -> Fraction:
    rates = [stream.frame_rate_hz or spec.base_rate_hz for stream in spec.streams]
    return max(1 / _exact(rate) for rate in rates if rate is not None)


def _exact(rate_hz: float) -> Fraction:
    return Fraction(rate_hz).limit_denominator(1000)


def _cut(codes: Codes, spec: TokenizerSpec, first_s: Fraction, stop_s: Fraction) -> Codes:
    if codes.durations is not None and spec.base_rate_hz is not None:
        return _cut_durations(
            codes, round(first_s * _exact(spec.base_rate_hz)), round(stop_s * _exact(spec.base_rate_hz))
        )
    rates = [_exact(stream.frame_rate_hz) for stream in spec.streams if stream.frame_rate_hz is not None]
    cut = [x[round(first_s * rate) : round(stop_s * rate)] for x, rate in zip(codes.streams, rates, strict=True)]
    return Codes(tuple(cut), None, codes.fingerprint)


def _cut_durations(codes: Codes, first: int, stop: int) -> Codes:
    """Keep the codes that sound in the frames ``[first, stop)`` of the base rate; those at the edges become shorter."""
    assert codes.durations is not None
    ends = codes.durations.cumsum(0)
    starts = ends - codes.durations
    kept = (ends > first) & (starts < stop)
    durations = ends.clamp(max=stop)[kept] - starts.clamp(min=first)[kept]
    return Codes(tuple(x[kept] for x in codes.streams), durations, codes.fingerprint)
