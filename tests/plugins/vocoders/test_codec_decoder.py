"""The vocoder `codec-decoder` on a real decoder, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from areca import audio
from areca.component import Kind
from areca.errors import ArecaError, InvalidCodes
from areca.interfaces import Job, Vocoder
from areca.manifest import Manifest, Utterance, read_manifest, write_manifest
from areca.registry.parts import resolve
from areca.registry.registry import Registry
from areca.specs import VocoderSpec
from areca.types import Audio, Codes, VoicePrompt
from areca_codec_decoder import CodecConfig, areca_components, spec
from areca_codec_decoder.model import Codec
from areca_melrvq import MelRvqConfig
from areca_melrvq import spec as melrvq_spec
from areca_melrvq.model import MelRvq

CPU = torch.device("cpu")
CONFIG = MelRvqConfig(levels=2, clusters=16, sample_frames=500, phase_iterations=4)


def tone(hz: float) -> Audio:
    t = torch.arange(8_000) / 16_000
    return Audio((0.1 * torch.sin(2 * math.pi * hz * (1 + t) * t))[None], 16_000)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("tones")
    for i in range(8):
        audio.write(root / f"{i}.wav", tone(200 + 60 * i))
    write_manifest(root / "manifest.jsonl", [Utterance(id=str(i), audio=f"{i}.wav") for i in range(8)])
    return read_manifest(root / "manifest.jsonl")


@pytest.fixture(scope="module")
def tokenizer(data: Manifest, tmp_path_factory: pytest.TempPathFactory) -> MelRvq:
    directory = tmp_path_factory.mktemp("fitted")
    MelRvq.fit(CONFIG, {}, data, Job(directory, 0, CPU))
    return MelRvq.load(CONFIG, {}, directory, device=CPU, dtype=torch.float32)


def load(tokenizer: Any) -> Codec:
    return Codec.load(CodecConfig(), {"tokenizer": tokenizer}, None, device=CPU, dtype=torch.float32)


def test_it_speaks_what_the_codec_decodes(tokenizer: MelRvq) -> None:
    vocoder = load(tokenizer)
    assert isinstance(vocoder, Vocoder)
    codes = tokenizer.encode([tone(250), tone(400)])
    said = vocoder.synthesize(codes, [None, None], generator=torch.Generator())
    for a, b in zip(said, tokenizer.decode(codes), strict=True):
        assert torch.equal(a.samples, b.samples)


def test_its_spec_is_the_codecs() -> None:
    of_codec = melrvq_spec(CONFIG, {})
    assert spec(CodecConfig(), {"tokenizer": of_codec}) == VocoderSpec(of_codec.streams, 16_000)
    (component,) = areca_components()
    assert component.kind is Kind.VOCODER and component.needs == {"tokenizer": Kind.TOKENIZER}


def test_it_streams_if_its_codec_does(tokenizer: MelRvq) -> None:
    registry = Registry.discover()
    value = {"name": "codec-decoder", "tokenizer": {"name": "mel-rvq"}}
    assert resolve(registry, Kind.VOCODER, value, role="vocoder").tags == {"stream"}
    of_codec = melrvq_spec(CONFIG, {})  # as the spec of a codec without the tag
    assert spec(CodecConfig(), {"tokenizer": of_codec}).tags == set()
    vocoder = load(tokenizer)
    [codes] = tokenizer.encode([tone(250)])
    session = vocoder.open(None, generator=torch.Generator())
    pieces = [session.push(codes), session.finish()]
    said = torch.cat([a.samples for a in pieces if a is not None], 1)
    torch.testing.assert_close(said, tokenizer.decode([codes])[0].samples)
    with pytest.raises(ArecaError, match="the voice is in the tokens, got 1 voice prompt"):
        vocoder.open(VoicePrompt(tone(300)), generator=torch.Generator())


def test_voices_and_wrong_codes_are_refused(tokenizer: MelRvq) -> None:
    vocoder = load(tokenizer)
    codes = tokenizer.encode([tone(300)])
    with pytest.raises(ArecaError, match="the voice is in the tokens, got 1 voice prompt"):
        vocoder.synthesize(codes, [VoicePrompt(tone(300))], generator=torch.Generator())
    for wrong in ([], [Codes(codes[0].streams[:1])], [Codes((codes[0].streams[0] + 16, codes[0].streams[1]))]):
        with pytest.raises(InvalidCodes):
            vocoder.synthesize(wrong, [None] * len(wrong), generator=torch.Generator())
