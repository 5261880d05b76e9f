"""Mimi, DAC and X-Codec on tiny random models in the hub's layout, against the library's own calls."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
import transformers
from torch.nn.functional import pad

import areca_codecs
from areca.component import Kind
from areca.errors import ArecaError, InvalidAudio, InvalidCodes, InvalidConfig
from areca.options import build, canonical
from areca.registry.registry import Registry
from areca.testing import CheckedComponent, run
from areca.types import Audio, Codes
from areca_codecs import DacConfig, MimiConfig, XcodecConfig, codec_properties
from areca_codecs.loading import verify_codec
from areca_codecs.model import Codec, Dac, Mimi, Xcodec
from areca_codecs.properties import PUBLISHED, CodecProperties
from areca_codecs.session import reach_of

CPU = torch.device("cpu")
CONFIGS = {"mimi": MimiConfig, "dac": DacConfig, "xcodec": XcodecConfig}
TARGETS: dict[str, type[Codec]] = {"mimi": Mimi, "dac": Dac, "xcodec": Xcodec}
TINY = {
    "mimi": CodecProperties(24_000, 1920, 6, 64, semantic=1),
    "dac": CodecProperties(16_000, 320, 4, 64),
    "xcodec": CodecProperties(16_000, 320, 4, 64, bandwidths_kbps=(0.3, 0.6, 1.2)),
}
OPTIONS = {"mimi": {"quantizers": 4}, "dac": {"quantizers": 3}, "xcodec": {"bandwidth_kbps": 0.6}}
STREAMS = {"mimi": 4, "dac": 3, "xcodec": 2}


def mimi() -> transformers.MimiModel:
    sizes = {"num_filters": 4, "hidden_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2}
    attention = {"num_hidden_layers": 2, "intermediate_size": 32, "upsample_groups": 16, "sliding_window": 8}
    books = {"codebook_size": 64, "codebook_dim": 8, "vector_quantization_hidden_dimension": 8, "num_quantizers": 6}
    return transformers.MimiModel(transformers.MimiConfig(**sizes, **attention, **books))


def dac() -> transformers.DacModel:
    sizes = {"encoder_hidden_size": 4, "decoder_hidden_size": 32, "downsampling_ratios": [2, 4, 5, 8]}
    return transformers.DacModel(transformers.DacConfig(**sizes, n_codebooks=4, codebook_size=64, codebook_dim=4))


def xcodec() -> transformers.XcodecModel:
    semantic = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    positions = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, "conv_dim": [8] * 7}
    acoustic = {"encoder_hidden_size": 4, "decoder_hidden_size": 32, "hidden_size": 16}
    config = transformers.XcodecConfig(
        codebook_size=64,
        target_bandwidths=[0.3, 0.6, 1.2],
        acoustic_model_config=acoustic,
        semantic_model_config=semantic | positions,
    )
    return transformers.XcodecModel(config)


def fill(rest: torch.Tensor, books: list[torch.Tensor], nearest: Callable[[int, torch.Tensor], torch.Tensor]) -> None:
    """Draw each codebook around what is left to it of real frames [F, D]: codes that tell sounds apart."""
    for k, book in enumerate(books):
        around = rest[torch.randint(len(rest), (len(book),))]
        book.copy_(around + 0.5 * rest.std(dim=0) * torch.randn(book.shape))
        rest = rest - nearest(k, rest)


def spread(family: str, model, samples: torch.Tensor) -> None:
    """Give a random model weights and codebooks of some size."""
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape))
    if family == "mimi":
        latents, quantizer = model.encoder(samples).latents, model.quantizer
        for rvq in (quantizer.semantic_residual_vector_quantizer, quantizer.acoustic_residual_vector_quantizer):
            books = [layer.codebook for layer in rvq.layers]
            fill(
                rvq.input_proj(latents)[0].T,
                [book.embed_sum for book in books],
                lambda k, x, books=books: books[k].decode(books[k].encode(x)),
            )
            for book in books:
                book._embed = None  # the library keeps what it was before
    elif family == "dac":
        rest = model.encoder(samples)
        for q in model.quantizer.quantizers:
            fill(q.in_proj(rest)[0].T, [q.codebook.weight], lambda k, x: x)
            rest = rest - q(rest)[0]
    else:
        seen = []
        hook = model.fc.register_forward_hook(lambda module, given, result: seen.append(result[0]))
        model.encode(samples)
        hook.remove()
        books = [layer.codebook for layer in model.quantizer.quantizers]
        fill(seen[0], [book.embed for book in books], lambda k, x: books[k].decode(books[k].encode(x)))


@pytest.fixture(scope="module")
def models() -> dict[str, transformers.PreTrainedModel]:
    made = {}
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for make in (mimi, dac, xcodec):
            model = make().eval()
            spread(make.__name__, model, sound(make.__name__, frames=80, seed=99).samples[None])
            made[make.__name__] = model
    return made


@pytest.fixture(scope="module")
def directories(models, tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("codecs")
    for family, model in models.items():
        model.save_pretrained(root / family)
    return {family: root / family for family in models}


def sound(family: str, frames: float, seed: int = 0) -> Audio:
    """Voiced bursts over noise."""
    rate_hz, draw = TINY[family].sample_rate_hz, torch.Generator().manual_seed(seed)
    t = torch.arange(max(1, round(frames * TINY[family].hop))) / rate_hz
    pitch = 90 + 120 * torch.rand(1, generator=draw)
    voice = sum(torch.sin(2 * torch.pi * pitch * k * t) / k for k in range(1, 12))
    loudness = torch.sin(2 * torch.pi * 3 * t).clamp(min=0)
    return Audio((0.2 * voice * loudness + 0.05 * torch.randn(t.shape, generator=draw))[None], rate_hz)


def load(directory: Path, dtype: torch.dtype = torch.float32, **options) -> Codec:
    family = json.loads((directory / "config.json").read_text())["model_type"]
    config = CONFIGS[family](path=directory, **(OPTIONS[family] | options))
    return TARGETS[family].load(config, {}, None, device=CPU, dtype=dtype)


@pytest.fixture(scope="module", params=list(TINY))
def family(request) -> str:
    return request.param


def library_codes(family: str, model, samples: torch.Tensor) -> torch.Tensor:
    """What the library itself gives for samples [1, T]: codes [K, F]."""
    if family == "mimi":
        return model.encode(samples[None], num_quantizers=4).audio_codes[0]
    if family == "dac":
        return model.encode(samples[None], n_quantizers=3).audio_codes[0]
    return model.encode(samples[None], bandwidth=0.6).audio_codes[0]


def same(a: Codes, b: Codes) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.streams, b.streams, strict=True))


# What the spec says


@pytest.mark.parametrize(
    ("config", "streams", "size", "rate_hz", "frame_rate_hz", "bit_s"),
    [
        (MimiConfig(), 8, 2048, 24_000, 12.5, 1100),
        (MimiConfig(quantizers=None), 32, 2048, 24_000, 12.5, 4400),
        (DacConfig(), 12, 1024, 16_000, 50.0, 6000),
        (DacConfig(model="descript/dac_24khz", quantizers=8), 8, 1024, 24_000, 75.0, 6000),
        (DacConfig(model="descript/dac_44khz"), 9, 1024, 44_100, 44_100 / 512, 7752),
        (XcodecConfig(), 8, 1024, 16_000, 50.0, 4000),
        (XcodecConfig(bandwidth_kbps=1.5), 3, 1024, 16_000, 50.0, 1500),
    ],
)
def test_published_models_are_known_without_their_weights(config, streams, size, rate_hz, frame_rate_hz, bit_s):
    spec = areca_codecs.spec(config, {})
    assert {(s.size, s.frame_rate_hz) for s in spec.streams} == {(size, frame_rate_hz)}
    assert (len(spec.streams), spec.sample_rate_hz, spec.channels) == (streams, rate_hz, 1)
    assert round(streams * frame_rate_hz * (size.bit_length() - 1)) == bit_s


def test_stream_names_state_their_content():
    names = {family: [s.name for s in areca_codecs.spec(CONFIGS[family](), {}).streams] for family in TINY}
    assert names["mimi"] == ["semantic", *(f"acoustic-{k}" for k in range(7))]
    assert names["dac"] == [f"rvq-{k}" for k in range(12)] and names["xcodec"] == [f"rvq-{k}" for k in range(8)]


def test_published_properties_equal_those_of_the_library():
    """The library's default configurations are those of kyutai/mimi and of X-Codec."""
    mimi, xcodec = transformers.MimiConfig(), transformers.XcodecConfig()
    [known] = PUBLISHED["mimi"].values()
    assert (known.sample_rate_hz, known.codebooks, known.size, known.semantic) == (
        mimi.sampling_rate,
        mimi.num_quantizers,
        mimi.codebook_size,
        mimi.num_semantic_quantizers,
    )
    assert (known.hop, known.frame_rate_hz) == (mimi.frame_size, mimi.frame_rate)
    for known in PUBLISHED["xcodec"].values():
        assert (known.hop, known.codebooks, known.size) == (
            xcodec.hop_length,
            xcodec.num_quantizers,
            xcodec.codebook_size,
        )
        assert known.bandwidths_kbps == tuple(xcodec.target_bandwidths)


def test_missing_values_of_a_directory_have_the_librarys_defaults(directories, family, tmp_path):
    assert codec_properties(family, "", directories[family]) == TINY[family]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    default = codec_properties(family, "", tmp_path)
    if family == "dac":
        config = transformers.DacConfig()
        assert default == CodecProperties(
            config.sampling_rate, config.hop_length, config.n_codebooks, config.codebook_size
        )
    else:
        assert default in PUBLISHED[family].values()


def test_a_stale_hop_length_is_ignored(tmp_path):
    """As in the published configuration of descript/dac_24khz."""
    written = {"model_type": "dac", "sampling_rate": 24_000, "downsampling_ratios": [2, 4, 5, 8], "hop_length": 512}
    (tmp_path / "config.json").write_text(json.dumps(written | {"n_codebooks": 32, "codebook_size": 1024}))
    assert codec_properties("dac", "", tmp_path) == PUBLISHED["dac"]["descript/dac_24khz"]


def test_a_directory_is_known_by_its_content_and_starts_from_the_recipes_folder(directories, tmp_path):
    shutil.copytree(directories["dac"], tmp_path / "recipes" / "copy")
    here = build(DacConfig, {"path": "copy"}, "tokenizer dac", root=tmp_path / "recipes")
    assert here.path == tmp_path / "recipes" / "copy"
    assert canonical(here) == canonical(DacConfig(path=directories["dac"], batch_s=9.0))
    assert canonical(here) != canonical(DacConfig())


def test_the_spec_needs_neither_torch_nor_transformers(directories):
    code = (
        "import sys, areca_codecs as a\n"
        "from pathlib import Path\n"
        f"path = Path({str(directories['xcodec'])!r})\n"
        "print(len(a.spec(a.XcodecConfig(path=path, bandwidth_kbps=0.6), {}).streams))\n"
        "print([m for m in ('torch', 'transformers', 'numpy', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[:2] == ["2", "[]"], done.stderr


# What the codecs do


def test_codes_and_audio_are_those_of_the_library(models, directories, family):
    tokenizer, model, audio = load(directories[family]), models[family], sound(family, frames=30)
    with torch.inference_mode():
        expected = library_codes(family, model, audio.samples)
        codes_in = {"audio_codes": expected[None]}
        heard = model.decode(**codes_in).audio_values.view(1, -1)
    [codes] = tokenizer.encode([audio])
    assert torch.equal(torch.stack(codes.streams), expected)
    assert len(codes.streams) == STREAMS[family]
    assert torch.unique(expected[0]).numel() > 8  # random weights that tell sounds apart
    [back] = tokenizer.decode([codes])
    assert back.samples.shape == audio.samples.shape and back.sample_rate_hz == audio.sample_rate_hz
    assert torch.equal(back.samples[:, : heard.shape[1]], heard)
    # DAC's stride of 5 gives one sample too few, which the strides after it make 8.
    assert back.samples.shape[1] - heard.shape[1] == (8 if family == "dac" else 0)
    assert not back.samples[:, heard.shape[1] :].any()


@pytest.mark.parametrize("frames", [0.001, 0.3, 1.0, 2.5])
def test_every_partial_hop_is_a_frame_padded_like_the_feature_extractor(models, directories, family, frames):
    audio, hop = sound(family, frames), TINY[family].hop
    whole = -(-audio.samples.shape[1] // hop)
    with torch.inference_mode():
        expected = library_codes(family, models[family], pad(audio.samples, (0, whole * hop - audio.samples.shape[1])))
    [codes] = load(directories[family]).encode([audio])
    assert torch.equal(torch.stack(codes.streams), expected) and expected.shape[1] == whole


def test_a_list_gives_exactly_the_codes_of_single_recordings(directories, family):
    tokenizer = load(directories[family])
    sounds = [sound(family, frames, seed) for seed, frames in enumerate((9, 0.2, 24, 9, 3.7))]
    together, again = tokenizer.encode(sounds), tokenizer.encode(sounds)
    alone = [tokenizer.encode([one])[0] for one in sounds]
    assert all(same(a, b) and same(a, c) for a, b, c in zip(together, again, alone, strict=True))


# In double precision: rounding, which differs with the batch, decides some codes of random weights.
def test_a_batch_gives_the_codes_and_audio_of_single_recordings(directories, family):
    one, many = (load(directories[family], torch.float64, batch_s=batch_s) for batch_s in (0.0, 1000.0))
    sounds = [sound(family, frames, seed) for seed, frames in enumerate((9, 0.2, 24, 9, 8.4, 3.7))]
    codes = many.encode(sounds)
    assert all(same(a, one.encode([b])[0]) for a, b in zip(codes, sounds, strict=True))
    for batched, each in zip(many.decode(codes), codes, strict=True):
        [alone] = one.decode([each])
        assert batched.samples.shape == alone.samples.shape == (1, each.streams[0].numel() * TINY[family].hop)
        assert torch.allclose(batched.samples, alone.samples, atol=1e-6)


def test_only_a_causal_model_shares_a_batch_between_lengths(directories, family):
    frames = [5, 3, 9, 5]
    expected = [[1, 0, 3, 2]] if family == "mimi" else [[1], [0, 3], [2]]
    assert list(load(directories[family], batch_s=1000.0)._batches(frames)) == expected
    assert list(load(directories[family])._batches(frames)) == [[1], [0], [3], [2]]


def test_padding_would_change_the_codes_of_noncausal_models(directories, family):
    model, samples = load(directories[family], torch.float64)._model, sound(family, frames=12).samples.double()
    with torch.inference_mode():
        alone = library_codes(family, model, samples)
        padded = library_codes(family, model, pad(samples, (0, 20 * TINY[family].hop)))
    assert torch.equal(alone, padded[:, :12]) == (family == "mimi")


def test_the_global_generator_is_not_used(directories, family):
    state = torch.get_rng_state()
    codes = load(directories[family]).encode([sound(family, frames=6)])[0]
    assert torch.equal(torch.get_rng_state(), state)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        assert same(codes, load(directories[family]).encode([sound(family, frames=6)])[0])


def test_wrong_input_is_named(directories, family):
    tokenizer, rate_hz = load(directories[family]), TINY[family].sample_rate_hz
    with pytest.raises(InvalidAudio, match="empty list"):
        tokenizer.encode([])
    with pytest.raises(InvalidAudio, match=f"expected {rate_hz} Hz"):
        tokenizer.encode([Audio(torch.zeros(1, 100), 8000)])
    with pytest.raises(InvalidCodes, match="expected streams of equal length, got"):
        tokenizer.decode([Codes(tuple(torch.zeros(3 + k, dtype=torch.int64) for k in range(STREAMS[family])))])
    with pytest.raises(InvalidCodes, match="64, out of range"):
        tokenizer.decode([Codes(tuple(torch.full((4,), 64) for _ in range(STREAMS[family])))])


# What is refused


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            MimiConfig(model="kyutai/mini"),
            r"expected a known model, got 'kyutai/mini'; did you mean 'kyutai/mimi'\?",
        ),
        (
            DacConfig(model="org/other"),
            r"known: descript/dac_16khz, .*\n.*hf download ORG/NAME --local-dir DIR",
        ),
        (MimiConfig(quantizers=0), "quantizers: expected 1 to 32, got 0; kyutai/mimi has 32 codebooks of 2048"),
        (DacConfig(quantizers=13), "quantizers: expected 1 to 12, got 13"),
        (XcodecConfig(bandwidth_kbps=3.0), "bandwidth_kbps: expected one of 0.5, 1, 1.5, 2, 4, got 3"),
    ],
)
def test_impossible_options_are_refused(config, message):
    with pytest.raises(InvalidConfig, match=message):
        areca_codecs.spec(config, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"config\.json: expected JSON"),
        ("{}", "not a transformers configuration: it has no `model_type`"),
        ("[]", "expected a JSON object, got "),
        ('{"model_type": "xcodec"}', "expected model_type 'mimi', got 'xcodec'; use `name: xcodec`"),
        ('{"model_type": "encodec"}', "expected model_type 'mimi', got 'encodec'$"),
        ('{"model_type": "mimi", "audio_channels": 2}', "expected 1 audio channel, got 2"),
        ('{"model_type": "mimi", "upsampling_ratios": 8}', "not a configuration of mimi: TypeError"),
    ],
)
def test_a_config_file_of_another_model_is_refused(tmp_path, text, message):
    with pytest.raises(InvalidConfig, match=r"config\.json cannot be read"):
        areca_codecs.spec(MimiConfig(path=tmp_path), {})
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InvalidConfig, match=message):
        areca_codecs.spec(MimiConfig(path=tmp_path), {})


@pytest.mark.parametrize(
    ("family", "figures", "message"),
    [
        ("mimi", {"frame_rate": 10}, r"one frame per 2400 samples.*expected 4 stream\(s\) of 16 frames.*got 4 of 20"),
        ("mimi", {"codebook_size": 128}, "transformers cannot load it"),
        ("mimi", {"decoder_config": None}, "the model cannot run: .*without a decoder"),
        ("dac", {"n_codebooks": 3}, r"the model in config\.json does not have, such as 'quantizer\.quantizers\.3"),
        ("dac", {"n_codebooks": 5}, r"the weights lack \d+ tensor\(s\).*'quantizer\.quantizers\.4"),
        ("dac", {"downsampling_ratios": [2, 4, 8, 8]}, r"describes \S+ of shape .*, the weights hold"),
        ("xcodec", {"target_bandwidths": [0.3, 0.6]}, r"the model in config\.json does not have, such as 'quantizer"),
        ("xcodec", {"sample_rate": 8000}, r"the weights lack \d+ tensor"),
    ],
)
def test_properties_that_contradict_the_model_are_an_error(directories, tmp_path, family, figures, message):
    shutil.copytree(directories[family], tmp_path / "wrong")
    written = json.loads((directories[family] / "config.json").read_text())
    (tmp_path / "wrong" / "config.json").write_text(json.dumps(written | figures))
    with pytest.raises(ArecaError, match=message):
        load(tmp_path / "wrong")


@pytest.mark.parametrize("short", [-1, 320])
def test_missing_samples_after_decoding_are_an_error(short):
    """Only what is short of a hop may be missing: DAC's last samples."""
    known = TINY["dac"]

    def encode(samples: torch.Tensor) -> torch.Tensor:
        return torch.zeros(1, 4, samples.shape[-1] // 320, dtype=torch.int64)

    verify_codec(encode, lambda codes: torch.zeros(1, 1, 16 * 320 - 8), known, 4, "it")
    message = f"it: config.json says 4 codebooks of 64.*expected 5120 samples for 16 frames, got {5120 - short}"
    with pytest.raises(InvalidConfig, match=message):
        verify_codec(encode, lambda codes: torch.zeros(1, 1, 16 * 320 - short), known, 4, "it")


def test_pickled_weights_are_not_read(models, directories, tmp_path):
    shutil.copytree(directories["dac"], tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    torch.save(models["dac"].state_dict(), tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(ArecaError, match=r"pickled: has no \*\.safetensors, and pickled weights are never read"):
        load(tmp_path / "pickled")


# The hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(directories, tmp_path, monkeypatch) -> None:
    """The hub's cache with a tiny model under the name of the published one, and no network."""
    repository = tmp_path / "hub" / "models--kyutai--mimi"
    shutil.copytree(directories["mimi"], repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def from_hub(config) -> Codec:
    return TARGETS[config.family].load(config, {}, None, device=CPU, dtype=torch.float32)


def test_a_hub_model_other_than_the_one_known_is_an_error(hub):
    message = f"kyutai/mimi@{COMMIT}: expected 32 codebooks of 2048.*says 6 codebooks of 64.*another `revision`"
    with pytest.raises(InvalidConfig, match=message):
        from_hub(MimiConfig(revision=COMMIT))


def test_a_hub_model_is_found_in_the_cache(hub, directories, monkeypatch):
    monkeypatch.setattr("areca_codecs.properties.PUBLISHED", {"mimi": {"kyutai/mimi": TINY["mimi"]}})
    audio = sound("mimi", frames=6)
    expected = load(directories["mimi"]).encode([audio])[0]
    assert same(from_hub(MimiConfig(quantizers=4)).encode([audio])[0], expected)
    assert Mimi.pinned(MimiConfig(quantizers=4)) == MimiConfig(quantizers=4, revision=COMMIT)
    by_path = MimiConfig(path=directories["mimi"])
    assert Mimi.pinned(by_path) is by_path


@pytest.mark.parametrize("config", [DacConfig(), MimiConfig(revision="v9")])
def test_without_network_the_error_states_what_to_do(hub, config):
    message = f"cannot fetch '{config.model}' at revision '{config.revision}': .*give the directory as `path`"
    with pytest.raises(ArecaError, match=message):
        from_hub(config)


# Pieces


@pytest.mark.parametrize("strides", [(8, 5, 4, 2), (8, 8, 4, 2), (3, 2)])
def test_samples_depend_on_as_many_frames_as_the_session_keeps(strides):
    from transformers.models.dac.modeling_dac import DacDecoder

    config = transformers.DacConfig(
        hidden_size=4, decoder_hidden_size=2 ** (len(strides) + 1), upsampling_ratios=list(strides)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        decoder = DacDecoder(config).double()
    frames = torch.zeros(1, 4, 51, dtype=torch.float64, requires_grad=True)
    hop, middle = math.prod(strides), 25
    decoder(frames)[0, 0, middle * hop : (middle + 1) * hop].square().sum().backward()
    seen = frames.grad.abs().sum((0, 1)).nonzero().flatten()
    furthest = max(middle - int(seen.min()), int(seen.max()) - middle)
    assert reach_of(strides) - 1 <= furthest <= reach_of(strides)


# The kit


@pytest.mark.parametrize(
    "family", ["mimi", *(pytest.param(family, marks=pytest.mark.slow) for family in ("dac", "xcodec"))]
)  # mimi does not stream; dac and xcodec do in the same way
def test_the_conformance_kit_passes(directories, family, tmp_path):
    registry = Registry.discover()
    entry = registry.find(Kind.TOKENIZER, family)
    options = {"path": str(directories[family]), **OPTIONS[family]}
    outcomes = list(run(CheckedComponent(entry, tmp_path, registry=registry, options=options)))
    assert [(o.check, o.message) for o in outcomes if o.state == "fail"] == []
    never = {"fit", "codebooks", "features", "feature"} | ({"stream"} if family == "mimi" else set())
    assert {o.check.partition("_")[0] for o in outcomes if o.state == "skip"} == never


def test_components_name_paper_and_licence_of_the_weights():
    components = {c.name: c for c in areca_codecs.areca_components()}
    assert {name: c.weights_license for name, c in components.items()} == {
        "mimi": "CC-BY-4.0",
        "dac": "MIT",
        "xcodec": "LicenseRef-model-card",
    }
    assert all(c.paper and c.paper.startswith("https://arxiv.org/abs/") for c in components.values())
    streaming = {name for name, c in components.items() if c.tags == {"decode", "stream"}}
    assert streaming == {"dac", "xcodec"} and components["mimi"].tags == {"decode"}
