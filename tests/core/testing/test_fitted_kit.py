"""The conformance kit on fitted tokenizers and vocoders, with the options that they declare for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from areca.component import Kind
from areca.registry.registry import Registry
from areca.testing import CheckedComponent, run

DECODE, FEATURES = {"decode", "decode_refuses_wrong_codes"}, {"features", "feature_size"}
CODEBOOKS = {"codebooks"}
FIT, RESUME, VOICE = {"fit_is_deterministic"}, {"fit_resumes"}, {"voices_differ"}
STREAM = {"stream", "stream_sessions", "stream_is_early", "stream_refuses_wrong_codes"}
SKIPPED = {
    "mfcc-kmeans": DECODE | FEATURES | STREAM | CODEBOOKS,
    "usm-v2": DECODE | STREAM | CODEBOOKS,
    "kmeans": DECODE | STREAM | CODEBOOKS,
    "dedup": FIT | RESUME | DECODE | FEATURES | STREAM | CODEBOOKS,
    "usm-v1": DECODE | STREAM | CODEBOOKS,
    "w2v-bert-nano": DECODE | STREAM | CODEBOOKS,
    "bpe": DECODE | FEATURES | STREAM | CODEBOOKS,
    "mel-rvq": FEATURES,
    "soundstream": FEATURES,
    "soundstream-levels": FIT | RESUME | FEATURES,
    "unit-mel": VOICE,
    "soundstorm": STREAM | {"stream_voice"},
    "audiolm": STREAM | {"stream_voice"},
    "unit-hifigan": VOICE,
    "codec-decoder": FIT | RESUME | VOICE,
}
"""What does not apply to each."""
VOCODERS = ("unit-mel", "soundstorm", "audiolm", "unit-hifigan", "codec-decoder")


SLOW = ("usm-v1", "w2v-bert-nano", "soundstream", "soundstream-levels", "unit-hifigan", "audiolm")
"""Their training is that of ``usm-v2``, or takes long."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in SKIPPED]
)
def test_the_conformance_kit_passes(name: str, tmp_path: Path) -> None:
    registry = Registry.discover()
    kind = Kind.VOCODER if name in VOCODERS else Kind.TOKENIZER
    outcomes = list(run(CheckedComponent(registry.find(kind, name), tmp_path, registry=registry)))
    assert [(o.check, o.message) for o in outcomes if o.state == "fail"] == []
    assert {o.check for o in outcomes if o.state == "skip"} == SKIPPED[name]
