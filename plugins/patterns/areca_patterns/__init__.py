"""Stream patterns, which order the codes of several streams in one sequence.

No pattern needs padding codes: `delay` leaves them out at both ends. Orders are light arithmetic, so each class below
is the options, the order and the target of its component (`areca.patterns.OrderOptions`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from areca import Component, Kind, hookimpl
from areca.patterns import OrderOptions
from areca.specs import PatternSpec, Spec

ARECA_PLUGIN_API = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten(OrderOptions):
    """Frame by frame, the streams of each frame one after another. No options."""

    def sequence(self, per_frame: Sequence[int], frames: int) -> list[int]:
        """Return the stream of each position; see `areca.specs.Order`."""
        return [k for k, n in enumerate(per_frame) for _ in range(n)] * frames

    def turn(self, per_frame: Sequence[int], frames: int) -> int:
        """Return the end of the sequence; see `areca.specs.Order`."""
        return sum(per_frame) * frames


@dataclass(frozen=True, slots=True, kw_only=True)
class CoarseFirst(OrderOptions):
    """All of the first stream, then all of the second, and so on (AudioLM, arXiv 2209.03143, section 3). No options."""

    def sequence(self, per_frame: Sequence[int], frames: int) -> list[int]:
        """Return the stream of each position; see `areca.specs.Order`."""
        return [k for k, n in enumerate(per_frame) for _ in range(n * frames)]

    def turn(self, per_frame: Sequence[int], frames: int) -> int:
        """Return the end of the first stream; see `areca.specs.Order`."""
        return per_frame[0] * frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(OrderOptions):
    """Frame by frame, with stream k delayed by k frames (MusicGen, arXiv 2306.05284, section 2.2). No options."""

    def sequence(self, per_frame: Sequence[int], frames: int) -> list[int]:
        """Return the stream of each position; see `areca.specs.Order`."""
        count = len(per_frame)
        return [k for step in range(frames + count - 1) for k in range(count) if 0 <= step - k < frames]

    def turn(self, per_frame: Sequence[int], frames: int) -> int:
        """Return the position after the last code of the first stream; see `areca.specs.Order`."""
        return sum(min(step + 1, len(per_frame)) for step in range(frames))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel(Flatten):
    """Frame by frame, the codes of a frame in one step (MusicGen, arXiv 2306.05284, section 2.2). No options."""

    def widths(self, per_frame: Sequence[int], frames: int) -> list[int]:
        """Return the codes of each frame; see `areca.specs.Order`."""
        return [len(per_frame)] * frames


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelDelay(Delay):
    """Frame by frame, stream k delayed by k steps (MusicGen, arXiv 2306.05284, section 2.2). No options."""

    def widths(self, per_frame: Sequence[int], frames: int) -> list[int]:
        """Return the codes of each step, fewer at both ends; see `areca.specs.Order`."""
        count = len(per_frame)
        return [min(step + 1, count, frames, frames + count - 1 - step) for step in range(frames + count - 1)]


def spec(config: Flatten | CoarseFirst, needs: Mapping[str, Spec]) -> PatternSpec:
    """Return the order, which accepts streams whose rates are multiples of the lowest rate."""
    return PatternSpec(config)


def delay_spec(config: Delay, needs: Mapping[str, Spec]) -> PatternSpec:
    """Return the order, which accepts only streams of one rate."""
    return PatternSpec(config, one_rate=True)


def parallel_spec(config: Parallel | ParallelDelay, needs: Mapping[str, Spec]) -> PatternSpec:
    """Return the order, whose steps hold a code of each stream."""
    return PatternSpec(config, one_rate=True, parallel=True)


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `flatten`, `coarse-first`, `delay`, `parallel` and `parallel-delay`."""
    yield Component(
        kind=Kind.PATTERN,
        name="flatten",
        config=Flatten,
        spec="areca_patterns:spec",
        target="areca_patterns:Flatten",
        summary="frame by frame, the streams of each frame one after another",
        license="Apache-2.0",
    )
    yield Component(
        kind=Kind.PATTERN,
        name="coarse-first",
        config=CoarseFirst,
        spec="areca_patterns:spec",
        target="areca_patterns:CoarseFirst",
        summary="all of the first stream, then all of the second, and so on (AudioLM)",
        license="Apache-2.0",
        paper="https://arxiv.org/abs/2209.03143",
    )
    yield Component(
        kind=Kind.PATTERN,
        name="delay",
        config=Delay,
        spec="areca_patterns:delay_spec",
        target="areca_patterns:Delay",
        summary="frame by frame, each stream one frame later than the one before it (MusicGen)",
        license="Apache-2.0",
        paper="https://arxiv.org/abs/2306.05284",
    )
    yield Component(
        kind=Kind.PATTERN,
        name="parallel",
        config=Parallel,
        spec="areca_patterns:parallel_spec",
        target="areca_patterns:Parallel",
        summary="frame by frame, all codes of a frame in one step",
        license="Apache-2.0",
        paper="https://arxiv.org/abs/2306.05284",
    )
    yield Component(
        kind=Kind.PATTERN,
        name="parallel-delay",
        config=ParallelDelay,
        spec="areca_patterns:parallel_spec",
        target="areca_patterns:ParallelDelay",
        summary="each stream one step later than the one before it, in one step (MusicGen)",
        license="Apache-2.0",
        paper="https://arxiv.org/abs/2306.05284",
    )
