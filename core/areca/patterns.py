"""For authors of stream patterns: a base class, and the arithmetic of rates. No torch.

A pattern is a component of the kind `areca.component.Kind.PATTERN`. Its spec holds an `areca.specs.Order`, a rule for
any number of frames. The smallest pattern is one dataclass that is both the options and the order::

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Backwards(OrderOptions):
        def sequence(self, per_frame, frames):
            return [k for k in reversed(range(len(per_frame))) for _ in range(per_frame[k] * frames)]
        ...

    def spec(config, needs):
        return PatternSpec(config)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Self

from areca.errors import IncompatibleParts
from areca.specs import PatternSpec, Stream


class OrderOptions:
    """Base class of options that are an `areca.specs.Order`. The subclass is also the component's target."""

    __slots__ = ()

    @classmethod
    def load(cls, config: Self, needs: Mapping[str, Any], files: Any, *, device: Any, dtype: Any) -> Self:
        """Return the order, which is `config` itself."""
        return config

    def widths(self, per_frame: Sequence[int], frames: int) -> list[int]:
        """Return one code for each step; see `areca.specs.Order`."""
        return [1] * (sum(per_frame) * frames)


def codes_per_frame(streams: Sequence[Stream], pattern: PatternSpec | None = None) -> tuple[int, ...]:
    """Return how many codes of each stream one frame holds; the slowest stream has one.

    Streams of variable rate can be combined only with each other; a frame then has one code of each.

    Args:
        streams: of one tokenizer.
        pattern: the order of several streams in one sequence; None: there is one stream.

    Raises:
        IncompatibleParts: rates that are not multiples of the slowest, a mixture of variable and constant rates,
            rates that differ where the pattern needs one rate, or several streams without a pattern.
    """
    described = ", ".join(map(str, streams))
    if pattern is None and len(streams) > 1:
        raise IncompatibleParts(f"{len(streams)} streams need a pattern, as lm: {{pattern: flatten}}; got {described}")
    rates = [stream.frame_rate_hz for stream in streams]
    constant = [Fraction(rate).limit_denominator(1000) for rate in rates if rate is not None]
    if not rates or len(constant) not in (0, len(rates)):
        raise IncompatibleParts(f"expected streams that all have a rate or all vary in it, got {described or 'none'}")
    ratios = [rate / min(constant) for rate in constant] or [Fraction(1)] * len(rates)
    if any(ratio.denominator != 1 for ratio in ratios):
        raise IncompatibleParts(f"expected rates that are multiples of the slowest, got {described}")
    if pattern is not None and pattern.one_rate and max(ratios) != 1:
        raise IncompatibleParts(f"the pattern needs streams of one rate, got {described}; choose another lm.pattern")
    return tuple(int(ratio) for ratio in ratios)
