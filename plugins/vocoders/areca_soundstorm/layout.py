"""The spec of `soundstorm`. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping

from areca.errors import IncompatibleParts
from areca.fitting.codec_vocoder.layout import layout_of
from areca.specs import Spec, VocoderSpec
from areca_soundstorm.options import SoundStormConfig


def spec(config: SoundStormConfig, needs: Mapping[str, Spec]) -> VocoderSpec:
    """Return the stream of the semantic tokenizer and the sample rate of the acoustic one.

    Raises:
        IncompatibleParts: as for `layout_of`, or `iterations` lists more levels than the codec has, or a window is not
            longer than its prompt when both are counted in frames.
    """
    layout = layout_of(needs["semantic"], needs["acoustic"], "soundstorm")
    if len(config.iterations) > len(layout.sizes):
        raise IncompatibleParts(
            f"soundstorm: iterations lists {len(config.iterations)} levels, the acoustic tokenizer has "
            f"{len(layout.sizes)}"
        )
    layout.check_window("soundstorm: window_s", config.window_s, config.prompt_s, config.overlap_s)
    return VocoderSpec(layout.semantic.streams, layout.acoustic.sample_rate_hz)
