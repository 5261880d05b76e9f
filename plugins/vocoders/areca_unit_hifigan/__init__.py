"""Vocoders for speech units: code HiFi-GAN, trained on the run's data or loaded from a published model."""

from __future__ import annotations

from collections.abc import Iterable

from areca import Component, Kind, hookimpl

ARECA_PLUGIN_API = 1


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `unit-hifigan` and `hub-unit-hifigan`."""
    yield Component(
        kind=Kind.VOCODER,
        name="unit-hifigan",
        config="areca_unit_hifigan.options:UnitHifiganConfig",
        spec="areca_unit_hifigan.specs:spec",
        target="areca_unit_hifigan.model:UnitHifigan",
        summary="speech units to audio by a GAN; the voice of its data, or one of several speakers by name",
        license="Apache-2.0",
        needs={"tokenizer": Kind.TOKENIZER},
        requires=("torch", "transformers", "safetensors"),
        tags=frozenset({"fit", "resume", "stream"}),
        paper="https://arxiv.org/abs/2104.00355",
        check={
            "tokenizer": {"name": "mfcc-kmeans", "clusters": 8},
            "channels": 32,
            "kernels": [3],
            "embedding": 8,
            "segment": 1_280,
            "steps": 2,
            "batch": 1,
            "discriminator_channels": 8,
            "checkpoint_steps": 1,
        },
    )
    yield Component(
        kind=Kind.VOCODER,
        name="hub-unit-hifigan",
        config="areca_unit_hifigan.options:HubUnitHifiganConfig",
        spec="areca_unit_hifigan.specs:hub_spec",
        target="areca_unit_hifigan.model:HubUnitHifigan",
        summary="speech units to audio by the published vocoder of SeamlessM4T; 200 voices, 36 languages",
        license="Apache-2.0",
        needs={"tokenizer": Kind.TOKENIZER},
        requires=("torch", "transformers"),
        tags=frozenset({"stream"}),
        paper="https://arxiv.org/abs/2308.11596",
        weights_license="CC-BY-NC-4.0",
    )
