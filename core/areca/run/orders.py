"""Orders in which the codes of several streams become one sequence. Arithmetic alone: no torch.

An order is a rule for any number of *frames*, a frame being one code of the slowest stream and as many of each other
stream as its rate is higher. None of them needs padding codes: `delay` leaves its ragged edges out instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Protocol

from areca.errors import IncompatibleParts, InvalidConfig, suggest
from areca.specs import Stream


class Order(Protocol):
    """Where the codes of each stream go."""

    def sequence(self, per_frame: Sequence[int], frames: int) -> list[int]:
        """Return the stream of each position, for `frames` frames of ``per_frame[k]`` codes of stream k."""

    def turn(self, per_frame: Sequence[int], frame: int) -> int:
        """Return the first position that tells `frame` frames from more: up to it the sequences agree.

        There, either the sequence of `frame` frames is over, or it goes on with the stream behind the one that a
        longer sequence has there.
        """


class Flatten:
    """Frame by frame, the streams of each one after another."""

    def sequence(self, per_frame: Sequence[int], frames: int) -> list[int]:
        """See `Order.sequence`."""
        return [k for k, n in enumerate(per_frame) for _ in range(n)] * frames

    def turn(self, per_frame: Sequence[int], frame: int) -> int:
        """See `Order.turn`."""
        return sum(per_frame) * frame


class CoarseFirst:
    """All of the first stream, then all of the second, and so on (AudioLM, arXiv 2209.03143, section 3)."""

    def sequence(self, per_frame: Sequence[int], frames: int) -> list[int]:
        """See `Order.sequence`."""
        return [k for k, n in enumerate(per_frame) for _ in range(n * frames)]

    def turn(self, per_frame: Sequence[int], frame: int) -> int:
        """See `Order.turn`."""
        return per_frame[0] * frame


class Delay:
    """Frame by frame, stream k late by k frames (MusicGen, arXiv 2306.05284, section 2.2); edges left out."""

    def sequence(self, per_frame: Sequence[int], frames: int) -> list[int]:
        """See `Order.sequence`."""
        count = len(per_frame)
        return [k for step in range(frames + count - 1) for k in range(count) if 0 <= step - k < frames]

    def turn(self, per_frame: Sequence[int], frame: int) -> int:
        """See `Order.turn`."""
        return sum(min(step + 1, len(per_frame)) for step in range(frame))


ORDERS: Mapping[str, Order] = MappingProxyType({"flatten": Flatten(), "coarse-first": CoarseFirst(), "delay": Delay()})
"""Every pattern, by the name that `lm.pattern` gives it."""


def order_named(pattern: str) -> Order:
    """Return the order of that name.

    Raises:
        InvalidConfig: there is none.
    """
    if pattern not in ORDERS:
        known = ", ".join(ORDERS)
        raise InvalidConfig(f"pattern {pattern!r}: expected one of {known}{suggest(pattern, ORDERS)}")
    return ORDERS[pattern]


def codes_per_frame(streams: Sequence[Stream], pattern: str) -> tuple[int, ...]:
    """Return how many codes of each stream one frame holds, the slowest stream having one.

    Streams of variable rate go together only with streams of variable rate, and are taken to run code by code.

    Raises:
        InvalidConfig: no such pattern.
        IncompatibleParts: rates that are no multiples of the slowest, a mixture of variable and constant rates,
            or, for `delay`, rates that differ.
    """
    order_named(pattern)
    said = ", ".join(map(str, streams))
    rates = [stream.frame_rate_hz for stream in streams]
    constant = [Fraction(rate).limit_denominator(1000) for rate in rates if rate is not None]
    if not rates or len(constant) not in (0, len(rates)):
        raise IncompatibleParts(f"expected streams that all have a rate or all vary in it, got {said or 'none'}")
    ratios = [rate / min(constant) for rate in constant] or [Fraction(1)] * len(rates)
    if any(ratio.denominator != 1 for ratio in ratios):
        raise IncompatibleParts(f"expected rates that are multiples of the slowest, got {said}")
    if pattern == "delay" and max(ratios) != 1:
        raise IncompatibleParts(f"pattern 'delay' wants streams of one rate, got {said}; use flatten or coarse-first")
    return tuple(int(ratio) for ratio in ratios)
