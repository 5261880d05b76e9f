"""SoundStorm (Borsos et al. 2023): a vocoder that turns speech units into codec tokens in the voice of a prompt."""

from __future__ import annotations

from collections.abc import Iterable

from areca import Component, Kind, hookimpl

ARECA_PLUGIN_API = 1


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `soundstorm`."""
    yield Component(
        kind=Kind.VOCODER,
        name="soundstorm",
        config="areca_soundstorm.options:SoundStormConfig",
        spec="areca_soundstorm.layout:spec",
        target="areca_soundstorm.model:SoundStorm",
        summary="speech units to codec tokens in the voice of a prompt, by parallel decoding of a Conformer",
        license="Apache-2.0",
        needs={"semantic": Kind.TOKENIZER, "acoustic": Kind.TOKENIZER},
        needs_tags={"acoustic": frozenset({"decode"})},
        requires=("torch", "safetensors"),
        tags=frozenset({"fit", "resume", "voice"}),
        paper="https://arxiv.org/abs/2305.09636",
        check={
            "semantic": {"name": "mfcc-kmeans", "clusters": 8},
            "acoustic": {"name": "mel-rvq", "levels": 2, "clusters": 16, "phase_iterations": 4},
            "layers": 1,
            "heads": 2,
            "width": 16,
            "feed_forward": 32,
            "steps": 4,
            "batch_s": 4.0,
            "prompt_s": 0.4,
            "checkpoint_steps": 2,
        },
    )
