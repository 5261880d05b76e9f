"""AudioLM (Borsos et al. 2022), stages 2 and 3: a vocoder that turns speech units into codec tokens by two LMs."""

from __future__ import annotations

from collections.abc import Iterable

from areca import Component, Kind, hookimpl

ARECA_PLUGIN_API = 1


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `audiolm`."""
    yield Component(
        kind=Kind.VOCODER,
        name="audiolm",
        config="areca_audiolm.options:AudioLMConfig",
        spec="areca_audiolm.layout:spec",
        target="areca_audiolm.model:AudioLM",
        summary="speech units to codec tokens in the voice of a prompt, by two autoregressive LMs",
        license="Apache-2.0",
        needs={"semantic": Kind.TOKENIZER, "acoustic": Kind.TOKENIZER},
        needs_tags={"acoustic": frozenset({"decode"})},
        requires=("torch", "transformers", "safetensors"),
        tags=frozenset({"fit", "resume", "voice"}),
        paper="https://arxiv.org/abs/2209.03143",
        check={
            "semantic": {"name": "mfcc-kmeans", "clusters": 8},
            "acoustic": {"name": "mel-rvq", "levels": 2, "clusters": 16, "phase_iterations": 4},
            "layers": 1,
            "heads": 2,
            "width": 16,
            "feed_forward": 32,
            "coarse_steps": 4,
            "fine_steps": 3,
            "learning_rate": 2e-2,
            "coarse_temperature": 0.05,
            "batch_s": 2.0,
            "coarse_crop_s": 1.0,
            "fine_crop_s": 0.5,
            "prompt_s": 0.4,
            "overlap_s": 0.4,
            "checkpoint_steps": 2,
        },
    )
