"""The spec of `audiolm`, and the split of a codec's levels into two stages. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping

from areca.errors import IncompatibleParts
from areca.fitting.codec_vocoder.layout import Layout, layout_of
from areca.specs import Spec, VocoderSpec
from areca_audiolm.options import MOST_COARSE, AudioLMConfig


def count_coarse(config: AudioLMConfig, layout: Layout) -> int:
    """Return the number of levels that the coarse stage predicts.

    Raises:
        IncompatibleParts: the codec has fewer levels than `config.coarse`.
    """
    levels = len(layout.sizes)
    if config.coarse is None:
        return min(MOST_COARSE, -(-levels // 2))
    if config.coarse > levels:
        raise IncompatibleParts(f"audiolm: coarse is {config.coarse}, the acoustic tokenizer has {levels} levels")
    return config.coarse


def spec(config: AudioLMConfig, needs: Mapping[str, Spec]) -> VocoderSpec:
    """Return the stream of the semantic tokenizer and the sample rate of the acoustic one.

    Raises:
        IncompatibleParts: as for `layout_of` and `count_coarse`, or a window is not longer than its prompt when both
            are counted in frames.
    """
    layout = layout_of(needs["semantic"], needs["acoustic"], "audiolm")
    count_coarse(config, layout)
    layout.check_window("audiolm: coarse_crop_s", config.coarse_crop_s, config.prompt_s, config.overlap_s)
    return VocoderSpec(layout.semantic.streams, layout.acoustic.sample_rate_hz)
