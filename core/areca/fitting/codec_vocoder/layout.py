"""How the codes of two tokenizers fit together: units, and the tokens of a codec. Light: no torch."""

from __future__ import annotations

from dataclasses import dataclass

from areca.errors import IncompatibleParts
from areca.specs import Spec, TokenizerSpec


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

    def check_window(self, option: str, window_s: float, prompt_s: float, overlap_s: float) -> None:
        """Refuse windows that are not longer than what they continue, counted in frames.

        Args:
            option: the option that holds `window_s`, with the component's name, for the message.
            window_s: duration of a window.
            prompt_s: duration of the voice prompt, which the first window continues.
            overlap_s: what a later window continues of the one before.

        Raises:
            IncompatibleParts: a window has no frame to decode.
        """
        if self.frames(window_s) <= self.frames(max(prompt_s, overlap_s)):
            raise IncompatibleParts(
                f"{option} = {window_s:g} must exceed prompt_s and overlap_s by a frame of {1 / self.base_rate_hz:g} s"
            )


def layout_of(semantic: Spec, acoustic: Spec, vocoder: str = "vocoder") -> Layout:
    """Return how the codes of two tokenizers fit together.

    Args:
        semantic: spec of the tokenizer whose units are spoken.
        acoustic: spec of the codec.
        vocoder: name of the component, for messages.

    Raises:
        IncompatibleParts: `semantic` has several streams or no rate, the streams of `acoustic` do not share a constant
            rate, or that rate is not a multiple of the units' rate.
    """
    assert isinstance(semantic, TokenizerSpec) and isinstance(acoustic, TokenizerSpec), "core passes tokenizers"
    if len(semantic.streams) != 1:
        raise IncompatibleParts(f"{vocoder}, semantic: expected a tokenizer of one stream, got {_names(semantic)}")
    base = semantic.streams[0].frame_rate_hz or semantic.base_rate_hz
    if base is None:
        raise IncompatibleParts(f"{vocoder}, semantic: expected units with a rate, got {_names(semantic)}")
    rates = {stream.frame_rate_hz for stream in acoustic.streams}
    rate = next(iter(rates))
    if len(rates) > 1 or rate is None:
        raise IncompatibleParts(f"{vocoder}, acoustic: expected streams of one constant rate, got {_names(acoustic)}")
    repeats = round(rate / base)
    if repeats < 1 or abs(rate / base - repeats) > 1e-6:
        raise IncompatibleParts(
            f"{vocoder}: expected an acoustic rate that is a whole multiple of the semantic one, "
            f"got {rate:g} Hz and {base:g} Hz"
        )
    return Layout(semantic, acoustic, base, repeats)


def _names(tokenizer: TokenizerSpec) -> str:
    return ", ".join(map(str, tokenizer.streams))
