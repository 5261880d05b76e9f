"""SoundStream (Zeghidour et al. 2021, arXiv 2107.03312): a neural codec that is trained on the run's speech."""

from __future__ import annotations

from collections.abc import Iterable

from areca import Component, Kind, hookimpl

ARECA_PLUGIN_API = 1
_LEVELS_TAG = "soundstream/levels"
"""Tag of a tokenizer whose first streams are codes of fewer bits, and that can decode only these."""


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `soundstream` and `soundstream-levels`."""
    paper = "https://arxiv.org/abs/2107.03312"
    small = {
        "strides": (5, 4, 4, 4),
        "width": 4,
        "dimension": 8,
        "levels": 3,
        "codebook_size": 16,
        "wave_width": 4,
        "stft_width": 2,
        "crop_s": 0.16,
        "batch": 2,
        "steps": 2,
        "reconstruction_steps": 1,
        "checkpoint_steps": 1,
    }
    yield Component(
        kind=Kind.TOKENIZER,
        name="soundstream",
        config="areca_soundstream.options:SoundStreamConfig",
        spec="areca_soundstream.options:spec",
        target="areca_soundstream.model:SoundStream",
        summary="SoundStream: a causal neural codec, trained on your data; any number of its levels can be decoded",
        license="Apache-2.0",
        requires=("torch", "safetensors"),
        tags=frozenset({"fit", "resume", "codebooks", "decode", "stream", _LEVELS_TAG}),
        paper=paper,
        check=small,
    )
    yield Component(
        kind=Kind.TOKENIZER,
        name="soundstream-levels",
        config="areca_soundstream.options:LevelsConfig",
        spec="areca_soundstream.options:levels_spec",
        target="areca_soundstream.model:Levels",
        summary="the first levels of a trained soundstream: fewer codes, without another training",
        license="Apache-2.0",
        needs={"tokenizer": Kind.TOKENIZER},
        needs_tags={"tokenizer": frozenset({_LEVELS_TAG})},
        requires=("torch",),
        tags=frozenset({"codebooks", "decode", "stream"}),
        paper=paper,
        check={"levels": 2, "tokenizer": {"name": "soundstream", **small}},
    )
