"""The vocoder `hub-unit-hifigan` on tiny random models in the hub's layouts, against transformers' own calls."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.models.seamless_m4t.modeling_seamless_m4t import SeamlessM4TCodeHifiGan
from transformers.models.seamless_m4t_v2.modeling_seamless_m4t_v2 import SeamlessM4Tv2CodeHifiGan

from areca.component import Kind
from areca.errors import ArecaError, IncompatibleParts, InvalidConfig
from areca.registry.registry import Registry
from areca.specs import Stream, TokenizerSpec
from areca.testing import CheckedComponent, run
from areca.types import Codes
from areca_unit_hifigan.model import HubUnitHifigan
from areca_unit_hifigan.options import HubUnitHifiganConfig
from areca_unit_hifigan.properties import PUBLISHED
from areca_unit_hifigan.specs import hub_spec

CPU = torch.device("cpu")
SIZES = {
    "unit_hifi_gan_vocab_size": 8,
    "unit_embed_dim": 8,
    "lang_embed_dim": 4,
    "spkr_embed_dim": 4,
    "vocoder_num_langs": 3,
    "vocoder_num_spkrs": 2,
    "upsample_initial_channel": 16,
    "upsample_rates": [8, 8, 10],
    "upsample_kernel_sizes": [16, 16, 20],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3]],
}
"""Frames at 25 Hz, the rate of `mfcc-kmeans`."""
UNITS = torch.tensor([5, 0, 7, 3, 3, 1])


def save(directory: Path, *, version: int = 1, whole: bool = False) -> Any:
    """Save a tiny vocoder, and return it; `whole`: in the layout of a published model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if version == 1:
            model: Any = SeamlessM4TCodeHifiGan(transformers.SeamlessM4TConfig(**SIZES))
        else:
            model = SeamlessM4Tv2CodeHifiGan(transformers.SeamlessM4Tv2Config(**SIZES))
        torch.nn.init.constant_(model.dur_predictor.proj.bias, 1.2)
        torch.nn.init.normal_(model.dur_predictor.proj.weight, std=0.3)
        torch.nn.init.normal_(model.unit_embedding.weight)
    model.eval().save_pretrained(directory)
    codes = {"vocoder_lang_code_to_id": {"eng": 2, "fra": 1, "xxx": 9}}
    (directory / "generation_config.json").write_text(json.dumps(codes))
    if whole:
        path = directory / "model.safetensors"
        tensors = {f"vocoder.{name}": x for name, x in load_file(path).items()}
        save_file(tensors | {"shared.weight": torch.zeros(3, 2)}, path, {"format": "pt"})
    return model


def load(directory: Path, **options: Any) -> HubUnitHifigan:
    config = HubUnitHifiganConfig(path=directory, **options)
    return HubUnitHifigan.load(config, {}, None, device=CPU, dtype=torch.float32)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("whole", [False, True])
def test_it_speaks_as_transformers_does(version: int, whole: bool, tmp_path: Path) -> None:
    model = save(tmp_path, version=version, whole=whole)
    vocoder = load(tmp_path, speaker=1, language="eng")
    with torch.no_grad():
        expected, _ = model(UNITS[None], torch.tensor([[1]]), torch.tensor([[2]]))
    [said] = vocoder.synthesize([Codes((UNITS,))], [None], generator=torch.Generator())
    torch.testing.assert_close(said.samples[0], expected.flatten())
    assert len(set(vocoder.voice.predict(UNITS).tolist())) > 1
    durations = torch.tensor([1, 2, 1, 3, 1, 1])
    [timed] = vocoder.synthesize([Codes((UNITS,), durations)], [None], generator=torch.Generator())
    assert timed.samples.shape == (1, 9 * 640)


def test_speaker_and_language_are_heard(tmp_path: Path) -> None:
    save(tmp_path)
    heard = [
        load(tmp_path, speaker=speaker, language=language).voice.speak(Codes((UNITS,))).samples
        for speaker, language in ((0, "0"), (1, "0"), (0, "fra"), (0, "1"))
    ]
    assert not torch.equal(heard[0], heard[1]) and not torch.equal(heard[0], heard[2])
    assert torch.equal(heard[2], heard[3])


def test_the_conformance_kit_passes(tmp_path: Path) -> None:
    save(tmp_path / "model", whole=True)
    registry = Registry.discover()
    units = {"name": "dedup", "tokenizer": {"name": "mfcc-kmeans", "clusters": 8}}
    options = {"path": str(tmp_path / "model"), "language": "eng", "tokenizer": units}
    entry = registry.find(Kind.VOCODER, "hub-unit-hifigan")
    outcomes = list(run(CheckedComponent(entry, tmp_path / "kit", registry=registry, options=options)))
    assert [(o.check, o.message) for o in outcomes if o.state == "fail"] == []
    assert {o.check for o in outcomes if o.state == "skip"} == {"fit_is_deterministic", "fit_resumes", "voices_differ"}


def deduplicated(size: int = 8, base_rate_hz: float = 25.0) -> TokenizerSpec:
    return TokenizerSpec((Stream("unit", size, None),), 16_000, base_rate_hz=base_rate_hz)


def test_the_spec_is_that_of_the_config(tmp_path: Path) -> None:
    save(tmp_path)
    config = HubUnitHifiganConfig(path=tmp_path, language="eng")
    assert hub_spec(config, {"tokenizer": deduplicated()}).sample_rate_hz == 16_000
    for wrong in (deduplicated(9), deduplicated(8, 50.0), TokenizerSpec((Stream("unit", 8, 25.0),), 16_000)):
        with pytest.raises(IncompatibleParts, match=r"speaks 8 deduplicated units at 25 Hz, 2 speaker.* got "):
            hub_spec(config, {"tokenizer": wrong})
    published = HubUnitHifiganConfig(language="eng", speaker=199)
    assert published.model in PUBLISHED
    assert hub_spec(published, {"tokenizer": deduplicated(10_000, 50.0)}).sample_rate_hz == 16_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speaker": 2, "language": "eng"}, "speaker: expected 0 to 1, got 2"),
        ({}, "speaks 3 languages; name one, as language=eng"),
        ({"path": None, "model": "facebook/hf-seamless-m4t-small"}, "did you mean 'facebook/hf-seamless-m4t-"),
        ({"path": Path("nowhere")}, "cannot be read; give a directory in the hub's layout"),
    ],
)
def test_the_spec_refuses_wrong_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    save(tmp_path)
    config = dataclasses.replace(HubUnitHifiganConfig(path=tmp_path), **options)
    with pytest.raises(InvalidConfig, match=message):
        hub_spec(config, {"tokenizer": deduplicated()})


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("fre", "does not speak 'fre'; did you mean 'fra'"),
        ("3", "expected a number from 0 to 2, got 3"),
        ("xxx", "expected a number from 0 to 2, got 9"),
    ],
)
def test_unknown_languages_are_refused(language: str, message: str, tmp_path: Path) -> None:
    save(tmp_path)
    with pytest.raises(InvalidConfig, match=message):
        load(tmp_path, language=language)


def change(directory: Path, **values: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_other_models_and_damaged_files_are_refused(tmp_path: Path) -> None:
    for name, values, message in (
        ("family", {"model_type": "hubert"}, "expected a model of type seamless_m4t or seamless_m4t_v2, got 'hubert'"),
        ("sizes", {"unit_embed_dim": 16}, "describes"),
        ("kernel", {"variance_predictor_kernel_size": 5}, "expected a duration predictor of kernel 3, got 5"),
        ("layers", {"upsample_rates": [8, 8, 10, 2]}, "the vocoder in its config.json cannot run"),
        ("length", {"upsample_rates": [7, 8, 10]}, "implies 2240 samples for 4 frames, the vocoder gives"),
    ):
        save(tmp_path / name)
        change(tmp_path / name, **values)
        with pytest.raises(ArecaError, match=message):
            load(tmp_path / name, language="eng")
    save(tmp_path / "extra", whole=True)
    path = tmp_path / "extra" / "model.safetensors"
    save_file(load_file(path) | {"vocoder.more": torch.zeros(1)}, path, {"format": "pt"})
    with pytest.raises(InvalidConfig, match=r"1 tensor.* that the model in config.json does not have, such as 'more'"):
        load(tmp_path / "extra", language="eng")
    path.unlink()
    with pytest.raises(InvalidConfig, match=r"has no \*.safetensors, and pickled weights are never read"):
        load(tmp_path / "extra", language="eng")
