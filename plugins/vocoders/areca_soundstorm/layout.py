"""How the codes of the two tokenizers fit together. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from areca.errors import IncompatibleParts
from areca.specs import Spec, TokenizerSpec, VocoderSpec
from areca_soundstorm.options import SoundStormConfig


@dataclass(frozen=True, slots=True)
class Layout:
    """How the codes of the two tokenizers fit together.

    Args:
        semantic: spec of the tokenizer whose units are spoken.
        acoustic: spec of the codec.
        base_rate_hz: rate of the units, or of the frames in which their durations are counted.
        repeats: codec frames in a base frame.
    """

    semantic: TokenizerSpec
    acoustic: TokenizerSpec
    base_rate_hz: float
    repeats: int

    @property
    def units(self) -> int:
        """Number of distinct units."""
        return self.semantic.streams[0].size

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each level of the codec."""
        return tuple(stream.size for stream in self.acoustic.streams)

    @property
    def has_durations(self) -> bool:
        """Whether the units have a variable rate."""
        return self.semantic.streams[0].frame_rate_hz is None

    def frames(self, seconds: float) -> int:
        """Return the number of codec frames in `seconds`: whole base frames, at least one."""
        return max(1, round(seconds * self.base_rate_hz)) * self.repeats


def layout_of(semantic: Spec, acoustic: Spec) -> Layout:
    """Return how the codes of two tokenizers fit together.

    Raises:
        IncompatibleParts: `semantic` has several streams or no rate, the streams of `acoustic` do not share a constant
            rate, or that rate is not a multiple of the units' rate.
    """
    assert isinstance(semantic, TokenizerSpec) and isinstance(acoustic, TokenizerSpec), "core passes tokenizers"
    if len(semantic.streams) != 1:
        raise IncompatibleParts(f"soundstorm, semantic: expected a tokenizer of one stream, got {_names(semantic)}")
    base = semantic.streams[0].frame_rate_hz or semantic.base_rate_hz
    if base is None:
        raise IncompatibleParts(f"soundstorm, semantic: expected units with a rate, got {_names(semantic)}")
    rates = {stream.frame_rate_hz for stream in acoustic.streams}
    rate = next(iter(rates))
    if len(rates) > 1 or rate is None:
        raise IncompatibleParts(f"soundstorm, acoustic: expected streams of one constant rate, got {_names(acoustic)}")
    repeats = round(rate / base)
    if repeats < 1 or abs(rate / base - repeats) > 1e-6:
        raise IncompatibleParts(
            f"soundstorm: expected an acoustic rate that is a whole multiple of the semantic one, "
            f"got {rate:g} Hz and {base:g} Hz"
        )
    return Layout(semantic, acoustic, base, repeats)


def _names(tokenizer: TokenizerSpec) -> str:
    return ", ".join(map(str, tokenizer.streams))


def spec(config: SoundStormConfig, needs: Mapping[str, Spec]) -> VocoderSpec:
    """Return the stream of the semantic tokenizer and the sample rate of the acoustic one.

    Raises:
        IncompatibleParts: as for `layout_of`, or `iterations` lists more levels than the codec has, or a window is not
            longer than its prompt when both are counted in frames.
    """
    layout = layout_of(needs["semantic"], needs["acoustic"])
    if len(config.iterations) > len(layout.sizes):
        raise IncompatibleParts(
            f"soundstorm: iterations lists {len(config.iterations)} levels, the acoustic tokenizer has "
            f"{len(layout.sizes)}"
        )
    if layout.frames(config.window_s) <= layout.frames(max(config.prompt_s, config.overlap_s)):
        raise IncompatibleParts(
            f"soundstorm: window_s = {config.window_s:g} must exceed prompt_s and overlap_s by a frame of "
            f"{1 / layout.base_rate_hz:g} s"
        )
    return VocoderSpec(layout.semantic.streams, layout.acoustic.sample_rate_hz)
