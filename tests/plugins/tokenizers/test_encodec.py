"""The tokenizer `encodec` against the package's own calls."""

from __future__ import annotations

import importlib.util
import re
import warnings
from pathlib import Path

import pytest
import torch
from encodec import EncodecModel
from safetensors.torch import save_file

import areca_encodec
from areca.component import Kind
from areca.errors import InvalidAudio, InvalidCodes, InvalidConfig, MissingWeights
from areca.registry.registry import Registry
from areca.testing import CheckedComponent, run
from areca.types import Audio, Codes
from areca_encodec import BANDWIDTHS_KBPS, EncodecConfig
from areca_encodec.model import CHECKPOINT_URL, EncodecTokenizer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def reference() -> EncodecModel:
    """The package's own model with random weights, each codebook drawn around what is left to it of real frames."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(0)
        model = EncodecModel.encodec_model_24khz(pretrained=False)
        with torch.no_grad():
            rest = model.encoder(speech_like(seconds=4.0, seed=99)[None])[0].T
            for layer in model.quantizer.vq.layers:
                book = layer._codebook
                spread = 0.5 * rest.std(dim=0) * torch.randn(1024, rest.shape[1])
                book.embed.copy_(rest[torch.randint(len(rest), (1024,))] + spread)
                book.inited.fill_(1)
                rest = rest - book.decode(book.encode(rest))
    return model.eval()


@pytest.fixture(scope="module")
def weights(reference, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("encodec") / "random.th"
    torch.save(reference.state_dict(), file)
    return file


def speech_like(seconds: float, seed: int) -> torch.Tensor:
    """Voiced bursts over noise, float32 [1, T] at 24 kHz."""
    draw = torch.Generator().manual_seed(seed)
    t = torch.arange(round(seconds * 24_000)) / 24_000
    pitch = 90 + 120 * torch.rand(1, generator=draw)
    voice = sum(torch.sin(2 * torch.pi * pitch * k * t) / k for k in range(1, 12))
    loudness = torch.sin(2 * torch.pi * 3 * t).clamp(min=0)
    return (0.2 * voice * loudness + 0.01 * torch.randn(t.shape, generator=draw))[None]


def load(weights: Path, dtype: torch.dtype = torch.float32, **options) -> EncodecTokenizer:
    return EncodecTokenizer.load(EncodecConfig(weights=weights, **options), {}, None, device=CPU, dtype=dtype)


def audio(seconds: float, seed: int = 0) -> Audio:
    return Audio(speech_like(seconds, seed), 24_000)


@pytest.mark.parametrize(("bandwidth_kbps", "streams"), list(zip(BANDWIDTHS_KBPS, (2, 4, 8, 16, 32), strict=True)))
def test_bandwidth_is_streams_times_rate_times_bits(bandwidth_kbps, streams):
    spec = areca_encodec.spec(EncodecConfig(bandwidth_kbps=bandwidth_kbps), {})
    assert [s.name for s in spec.streams] == [f"rvq-{k}" for k in range(streams)]
    assert {(s.size, s.frame_rate_hz) for s in spec.streams} == {(1024, 75.0)}
    assert streams * 75 * 10 == bandwidth_kbps * 1000
    assert (spec.sample_rate_hz, spec.channels) == (24_000, 1)


def test_codes_and_audio_are_those_of_the_package(reference, weights):
    tokenizer = load(weights, bandwidth_kbps=3.0)
    reference.set_target_bandwidth(3.0)
    sound = audio(1.2)  # 90 frames exactly
    with torch.inference_mode():
        [(expected, _)] = reference.encode(sound.samples[None])
        heard = reference.decode([(expected, None)])
    [codes] = tokenizer.encode([sound])
    assert torch.equal(torch.stack(codes.streams), expected[0])
    assert torch.unique(expected[0, 0]).numel() > 20  # random weights that tell sounds apart
    [back] = tokenizer.decode([codes])
    assert torch.equal(back.samples, heard[0])
    assert back.samples.shape == sound.samples.shape and back.sample_rate_hz == 24_000


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.5, 0.777, 1.0])
def test_every_partial_320_samples_are_a_frame(weights, seconds):
    sound = audio(seconds)
    [codes] = load(weights).encode([sound])
    assert {s.numel() for s in codes.streams} == {-(-sound.samples.shape[1] // 320)}
    assert len(codes.streams) == 8


SECONDS = (0.03, 0.09, 0.31, 0.71, 1.003, 1.5, 1.51)


SOUNDS = [audio(seconds, seed) for seed, seconds in enumerate(SECONDS)]


# In double precision: what random weights give differs so little from frame to frame that rounding decides some codes.
@pytest.fixture(scope="module")
def alone(weights) -> list[Codes]:
    tokenizer = load(weights, torch.float64)
    return [tokenizer.encode([sound])[0] for sound in SOUNDS]


@pytest.mark.parametrize("batch_s", [2.5, pytest.param(1000.0, marks=pytest.mark.slow)])
def test_codes_do_not_depend_on_the_batch(weights, alone, batch_s):
    tokenizer = load(weights, torch.float64, batch_s=batch_s)
    assert all(same(a, b) for a, b in zip(tokenizer.encode(SOUNDS), alone, strict=True))


def test_a_list_gives_the_codes_of_single_recordings_every_time(weights):
    tokenizer = load(weights)
    first, second = tokenizer.encode(SOUNDS), tokenizer.encode(SOUNDS)
    alone = [tokenizer.encode([sound])[0] for sound in SOUNDS]
    assert all(same(a, b) and same(a, c) for a, b, c in zip(first, second, alone, strict=True))


def same(a: Codes, b: Codes) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.streams, b.streams, strict=True))


def test_decoding_does_not_depend_on_the_batch(weights):
    tokenizer, one_by_one = load(weights, batch_s=1000.0), load(weights)
    draw = torch.Generator().manual_seed(0)
    codes = [Codes(tuple(torch.randint(1024, (8, n), generator=draw))) for n in (1, 3, 40, 75, 76)]
    for batched, one in zip(tokenizer.decode(codes), codes, strict=True):
        [alone] = one_by_one.decode([one])
        assert batched.samples.shape == (1, one.streams[0].numel() * 320)
        assert torch.allclose(batched.samples, alone.samples, atol=1e-5)


def test_the_end_of_a_sound_does_not_change_its_beginning(weights):
    whole = audio(2.0)
    [long], [short] = (load(weights).encode([Audio(whole.samples[:, :n], 24_000)]) for n in (48_000, 24_000))
    equal = long.streams[0][:75] == short.streams[0]
    assert equal.double().mean() >= 0.98


def test_safetensors_give_the_same_codes_without_global_randomness(reference, weights, tmp_path):
    save_file({k: v.contiguous() for k, v in reference.state_dict().items()}, tmp_path / "random.safetensors")
    state = torch.get_rng_state()
    pickled, plain = load(weights), load(tmp_path / "random.safetensors")
    assert same(pickled.encode([audio(0.5)])[0], plain.encode([audio(0.5)])[0])
    assert torch.equal(torch.get_rng_state(), state)


class Evil:
    def __reduce__(self):
        return (open, ("pwned", "w"))


@pytest.mark.parametrize("content", [Evil(), {"encoder": torch.zeros(1)}, [1, 2]])
def test_a_file_that_is_not_its_weights_is_refused_and_never_run(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    torch.save(content, "bad.th")
    with pytest.raises(InvalidConfig, match=r"bad\.th"):
        load(tmp_path / "bad.th")
    assert not Path("pwned").exists()


def test_an_unreadable_file_is_refused(tmp_path):
    said = {
        "noise.th": "expected a state dict of EnCodec 24 kHz",
        "noise.safetensors": "not a complete safetensors",
    }
    for name, message in said.items():
        (tmp_path / name).write_bytes(b"no weights at all")
        with pytest.raises(InvalidConfig, match=message):
            load(tmp_path / name)


def test_without_network_and_file_the_error_states_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for proxy in ("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(MissingWeights, match=re.escape(CHECKPOINT_URL) + r".*give the file as `weights`"):
        EncodecTokenizer.load(EncodecConfig(), {}, None, device=CPU, dtype=torch.float32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bandwidth_kbps": 5.0}, "expected one of 1.5, 3, 6, 12, 24, got 5"),
        ({"sample_rate_hz": 48_000}, "overlapping segments, each with a scale"),
        ({"sample_rate_hz": 16_000}, "audio at other rates is resampled"),
        ({"weights": Path("nowhere.th")}, r"nowhere\.th is not a file"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(InvalidConfig, match=message):
        areca_encodec.spec(EncodecConfig(**options), {})


def test_wrong_input_is_named(weights):
    tokenizer = load(weights)
    with pytest.raises(InvalidAudio, match="empty list"):
        tokenizer.encode([])
    with pytest.raises(InvalidAudio, match="expected 24000 Hz"):
        tokenizer.encode([Audio(torch.zeros(1, 100), 16_000)])
    with pytest.raises(InvalidCodes, match="equal length"):
        tokenizer.decode([Codes(tuple(torch.zeros(4 + k // 7, dtype=torch.int64) for k in range(8)))])
    with pytest.raises(InvalidCodes, match="out of range"):
        tokenizer.decode([Codes(tuple(torch.full((4,), 1024) for _ in range(8)))])


def test_the_component_names_its_dependency_and_extra():
    [component] = areca_encodec.areca_components()
    assert "encodec" in component.requires and component.extra == "encodec"
    assert all(importlib.util.find_spec(module) for module in component.requires)


@pytest.mark.slow
def test_the_conformance_kit_passes(weights, tmp_path):
    registry = Registry.discover()
    entry = registry.find(Kind.TOKENIZER, "encodec")
    outcomes = list(run(CheckedComponent(entry, tmp_path, registry=registry, options={"weights": str(weights)})))
    assert [(o.check, o.message) for o in outcomes if o.state == "fail"] == []
    assert {o.check.partition("_")[0] for o in outcomes if o.state == "skip"} == {
        "fit",
        "codebooks",
        "features",
        "feature",
        "stream",
    }
