"""Units of public encoders: tiny random models in the hub's own layout, against transformers' own computation."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoFeatureExtractor, AutoModel

import areca_ssl
from areca.audio import write
from areca.component import Kind
from areca.errors import ArecaError, InvalidAudio, InvalidConfig
from areca.fitting.kmeans import fit_kmeans
from areca.interfaces import Job
from areca.manifest import Manifest, Utterance, read_manifest, write_manifest
from areca.options import build, canonical
from areca.registry.registry import Registry
from areca.specs import Stream, TokenizerSpec
from areca.testing import CheckedComponent, run
from areca.types import Audio
from areca_ssl import HubertConfig, SslConfig, W2vBertConfig, WhisperConfig
from areca_ssl.checkpoint import load_encoder
from areca_ssl.model import SslUnits, open_encoder
from areca_ssl.waves import WaveEncoder
from areca_ssl.windows import cut_windows, pool_frames

CPU = torch.device("cpu")
RATE_HZ = 16_000
LAYERS = 3
SIZES = {"hidden_size": 32, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "intermediate_size": 48}
WAVE = {**SIZES, "conv_dim": [16] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
WHISPER = {
    "d_model": 32,
    "encoder_layers": LAYERS,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "vocab_size": 60,
    "max_source_positions": 150,
    **{f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "decoder_start")},
}
MODELS: dict[str, tuple[type[SslConfig], str, str, dict[str, Any]]] = {
    "hubert-group": (HubertConfig, "Hubert", "Wav2Vec2", WAVE),
    "hubert-layer": (HubertConfig, "Hubert", "Wav2Vec2", WAVE | STABLE),
    "hubert-batch-norm": (HubertConfig, "Hubert", "Wav2Vec2", WAVE | STABLE | {"conv_pos_batch_norm": True}),
    "wavlm": (HubertConfig, "WavLM", "Wav2Vec2", WAVE | {"feat_extract_norm": "layer"}),
    "wavlm-group": (HubertConfig, "WavLM", "Wav2Vec2", WAVE),
    "wavlm-stable": (HubertConfig, "WavLM", "Wav2Vec2", WAVE | STABLE),
    "wav2vec2": (HubertConfig, "Wav2Vec2", "Wav2Vec2", WAVE | STABLE | {"add_adapter": True}),
    "whisper": (WhisperConfig, "Whisper", "Whisper", WHISPER),
    "w2v-bert": (W2vBertConfig, "Wav2Vec2Bert", "SeamlessM4T", SIZES),
}
"""What is tested: the options' class, the names of transformers' classes, and the sizes."""
ONE_EACH = ("hubert-group", "whisper", "w2v-bert")


def make(directory: Path, name: str) -> Path:
    """A tiny random model and its feature extractor, in the hub's layout."""
    _, model, extractor, sizes = MODELS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = getattr(transformers, f"{model}Model")(getattr(transformers, f"{model}Config")(**sizes))
        for key, x in made.named_parameters():  # no bias at its default
            x.data.add_((0.3 if x.ndim == 1 and "original0" not in key else 0.05) * torch.randn(x.shape))
    made.save_pretrained(directory)
    options = {"chunk_length": 3} if name == "whisper" else {}
    getattr(transformers, f"{extractor}FeatureExtractor")(**options).save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("ssl-models")
    return {name: make(root / name, name) for name in MODELS}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("ssl-corpus")
    rows = []
    for i, audio in enumerate(sounds([0.5 + 0.13 * k for k in range(12)], seed=1)):
        write(root / f"{i}.wav", audio)
        rows.append(Utterance(id=str(i), audio=f"{i}.wav", language="en", split="train"))
    write_manifest(root / "manifest.jsonl", rows)
    return read_manifest(root / "manifest.jsonl")


def sounds(seconds: list[float], seed: int = 0) -> list[Audio]:
    """Noise whose level and colour change ten times a second."""
    generator = torch.Generator().manual_seed(seed)
    audios = []
    for s in seconds:
        length = max(1, round(s * RATE_HZ))
        noise = torch.randn(length + 1, generator=generator)
        gains = torch.rand(2, length // 1600 + 1, generator=generator).repeat_interleave(1600, 1)[:, :length]
        audios.append(Audio((0.2 * gains[0] * (noise[1:] + (2 * gains[1] - 1) * noise[:-1]))[None], RATE_HZ))
    return audios


def config_of(models: dict[str, Path], name: str, **options: Any) -> SslConfig:
    longest = {"longest_s": 3.0, "silence_to_s": 1.0} if name == "whisper" else {}
    defaults = {"path": models[name], "layer": 2, "clusters": 12, "frame_rate_hz": 50, "sample_frames": 400}
    return MODELS[name][0](**{**longest, **defaults, **options})


def unclustered(config: SslConfig) -> SslUnits:
    return SslUnits(config, open_encoder(config, CPU), {})


def fitted(config: SslConfig, data: Manifest, directory: Path, seed: int = 3) -> SslUnits:
    directory.mkdir(parents=True, exist_ok=True)
    job = Job(directory, seed, CPU)
    SslUnits.fit(config, {}, data, job)
    shutil.rmtree(job.work)  # as core does
    return SslUnits.load(config, {}, directory, device=CPU, dtype=torch.float32)


@torch.inference_mode()
def reference(directory: Path, layer: int, audio: Audio) -> torch.Tensor:
    """What transformers says of one recording, as its documentation tells to call it."""
    model, extractor = AutoModel.from_pretrained(directory).eval(), AutoFeatureExtractor.from_pretrained(directory)
    inputs = extractor(audio.samples[0].numpy(), sampling_rate=RATE_HZ, return_tensors="pt")
    if hasattr(model, "decoder"):
        model, inputs = model.encoder, {"input_features": inputs["input_features"]}
    return model(**inputs, output_hidden_states=True).hidden_states[layer][0]


# What is clustered


@pytest.mark.parametrize("layer", [1, 2, LAYERS])
@pytest.mark.parametrize("name", MODELS)
def test_features_are_those_of_transformers(models: dict[str, Path], name: str, layer: int) -> None:
    [audio] = sounds([1.237])
    whole = {"silence_to_s": 3.0} if name == "whisper" else {}
    [ours] = unclustered(config_of(models, name, layer=layer, **whole)).features([audio])
    theirs = reference(models[name], layer, audio)[: len(ours)]
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)
    assert theirs.std(0).mean() > 0.01  # it is something that is compared


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_gives_the_features_of_single_recordings(models: dict[str, Path], name: str) -> None:
    units = unclustered(config_of(models, name))
    audios = sounds([1.0, 0.31, 2.2, 1.0, 0.02, 1.71, 2.9])
    together = units.features(audios)
    for audio, features in zip(audios, together, strict=True):
        torch.testing.assert_close(features, units.features([audio])[0], atol=3e-5, rtol=1e-4)
    assert all(map(torch.equal, together, units.features(audios)))


def test_models_without_a_mask_get_no_padding(models: dict[str, Path]) -> None:
    mixed = {name: open_encoder(config_of(models, name), CPU).mixed for name in MODELS}
    assert mixed == {
        "hubert-group": True,
        "hubert-layer": True,
        "hubert-batch-norm": False,
        "wavlm": True,
        "wavlm-group": True,
        "wavlm-stable": True,
        "wav2vec2": True,
        "whisper": False,
        "w2v-bert": True,
    }
    encoder = WaveEncoder(config_of(models, "hubert-batch-norm"), CPU)
    sizes: list[torch.Size] = []
    encoder.model.register_forward_pre_hook(
        lambda _, args: sizes.append(args[0].shape)  # the waveforms of a batch
    )
    config = config_of(models, "hubert-batch-norm")
    SslUnits(config, encoder, {}).features(sounds([1.0, 0.5, 1.0, 1.0]))
    assert sorted(map(tuple, sizes)) == [(1, 8000), (3, 16000)]


def test_a_norm_over_time_excludes_padding(models: dict[str, Path]) -> None:
    """What the library itself says of padded speech is otherwise, with its mask or without."""
    long, short = sounds([2.0, 1.0])
    model = AutoModel.from_pretrained(models["hubert-group"]).eval()
    padded = torch.cat((short.samples, torch.zeros(1, RATE_HZ)), 1)
    mask = (torch.arange(2 * RATE_HZ) < RATE_HZ).long()[None]
    alone = reference(models["hubert-group"], 2, short)
    with torch.inference_mode():
        spoilt = model(padded, attention_mask=mask, output_hidden_states=True).hidden_states[2][0, : len(alone)]
    assert (alone - spoilt).abs().max() > 1e-2
    together = unclustered(config_of(models, "hubert-group")).features([long, short])
    torch.testing.assert_close(together[1], alone, atol=3e-5, rtol=1e-4)


def test_silence_after_the_speech_is_as_long_as_configured(models: dict[str, Path]) -> None:
    [audio] = sounds([0.7])
    samples = audio.samples[0]
    for silence_to_s, frames in ((1.0, 100), (0.5, 100), (0.1, 70), (2.0, 200), (3.0, 300), (30.0, 300)):
        encoder = open_encoder(config_of(models, "whisper", silence_to_s=silence_to_s), CPU)
        window = encoder.prepare(samples)
        assert window.values.shape == (frames, 80) and window.frames == 35
        extractor = AutoFeatureExtractor.from_pretrained(models["whisper"])
        whole = extractor(samples.numpy(), sampling_rate=RATE_HZ, return_tensors="pt").input_features[0].T
        kept = min(frames, 69)  # the window of the last frame of all is mirrored where nothing follows
        torch.testing.assert_close(window.values[:kept], whole[:kept])


# Rates and windows


@pytest.mark.parametrize("frame_rate_hz", [25, 50])
@pytest.mark.parametrize("name", ONE_EACH)
def test_a_second_has_as_many_frames_as_the_rate(models: dict[str, Path], name: str, frame_rate_hz: int) -> None:
    config = config_of(models, name, frame_rate_hz=frame_rate_hz)
    streams = (Stream("unit", 12, float(frame_rate_hz)),)
    spec = areca_ssl.spec(config, {})
    assert spec == TokenizerSpec(streams, RATE_HZ, feature_size=spec.feature_size)
    audios = sounds([0.0, 0.012, 0.025, 0.04, 1.0, 2.337, 7.9])  # the last one is longer than a window of Whisper
    for audio, features in zip(audios, unclustered(config).features(audios), strict=True):
        assert len(features) >= 1 and abs(len(features) - frame_rate_hz * audio.seconds) <= 2
        assert torch.isfinite(features).all() and features.shape[1] == spec.feature_size


def test_silence_has_units_too(models: dict[str, Path]) -> None:
    for name in ONE_EACH:
        [features] = unclustered(config_of(models, name)).features([Audio(torch.zeros(1, 9000), RATE_HZ)])
        assert torch.isfinite(features).all()


def test_25_hz_are_the_means_of_pairs(models: dict[str, Path]) -> None:
    frames = torch.arange(10.0).view(5, 2)
    assert pool_frames(frames, 50) is frames
    assert pool_frames(frames, 25).tolist() == [[1, 2], [5, 6], [8, 9]]
    [audio] = sounds([1.3])
    fast, slow = (
        unclustered(config_of(models, "w2v-bert", frame_rate_hz=rate)).features([audio])[0] for rate in (50, 25)
    )
    torch.testing.assert_close(slow[:30], (fast[:60:2] + fast[1:60:2]) / 2)


@pytest.mark.parametrize("lookahead", [0, 80, 240])
def test_windows_are_equal_and_lose_no_frame(lookahead: int) -> None:
    for length in (1, 639, 16_000, 32_000, 32_001, 64_123, 97_777, 480_000):
        windows = cut_windows(torch.arange(length), 2.0, lookahead)
        sizes = [len(w) - lookahead for w in windows[:-1]]
        assert len(set(sizes)) <= 1 and all(size % 640 == 0 and size <= 32_000 for size in sizes)
        assert len(windows) == -(-length // 32_000)
        assert torch.equal(
            torch.cat([*(w[: len(w) - lookahead] for w in windows[:-1]), windows[-1]]), torch.arange(length)
        )
        if len(windows) > 1:
            assert len(windows[-1]) > sizes[0] - 640 * len(windows)


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_long_recording_is_encoded_window_by_window(models: dict[str, Path], name: str) -> None:
    units, whole = (unclustered(config_of(models, name, longest_s=seconds)) for seconds in (1.0, 3.0))
    [audio] = sounds([2.4])
    [features] = units.features([audio])
    pieces = cut_windows(audio.samples[0], 1.0, units.encoder.lookahead)
    assert len(pieces) == 3
    alone = torch.cat([whole.features([Audio(piece[None], RATE_HZ)])[0] for piece in pieces])
    torch.testing.assert_close(features, alone, atol=3e-5, rtol=1e-4)
    at_once = whole.features([audio])[0]
    assert len(features) == len(at_once)
    assert not torch.allclose(features, at_once, atol=1e-3)  # it changes results, so it is no runtime option
    assert "longest_s" in canonical(units.config) and "encode_batch_s" not in canonical(units.config)


# Fit, load, encode


@pytest.mark.parametrize("name", ONE_EACH)
def test_fit_repeats_exactly_and_stores_only_the_centroids(
    models: dict[str, Path], corpus: Manifest, tmp_path: Path, name: str
) -> None:
    config, state = config_of(models, name), torch.random.get_rng_state()
    first, again, other = (fitted(config, corpus, tmp_path / str(i), seed) for i, seed in enumerate((3, 3, 4)))
    assert torch.equal(state, torch.random.get_rng_state())
    files = [tmp_path / str(i) / "codebook.safetensors" for i in range(3)]
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()
    assert {k: tuple(x.shape) for k, x in load_file(files[0]).items()} == {"centroids": (12, 32)}
    assert [p.name for p in (tmp_path / "0").iterdir()] == ["codebook.safetensors"]
    audios = sounds([1.0, 0.4, 1.8], seed=9)
    units = first.encode(audios)
    for audio, codes, same in zip(audios, units, again.encode(audios), strict=True):
        expected = torch.cdist(first.features([audio])[0], first.codebook["centroids"]).argmin(1)
        assert (codes.streams[0] == expected).float().mean() >= 0.99
        assert torch.equal(codes.streams[0], same.streams[0])
    assert len(torch.cat([c.streams[0] for c in units]).unique()) >= 4
    assert not torch.equal(first.codebook["centroids"], other.codebook["centroids"])


def test_the_sample_bounds_what_is_clustered(
    models: dict[str, Path], corpus: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def spy(points: torch.Tensor, clusters: int, *, generator: torch.Generator) -> torch.Tensor:
        sizes.append(len(points))
        return fit_kmeans(points, clusters, generator=generator)

    monkeypatch.setattr("areca_ssl.model.fit_kmeans", spy)
    fitted(config_of(models, "hubert-group", sample_frames=123), corpus, tmp_path)
    assert sizes == [123]
    with pytest.raises(ValueError, match="12 clusters need at least as many frames, got 5"):
        fitted(config_of(models, "hubert-group", sample_frames=5), corpus, tmp_path)


def test_normalised_features_are_clustered_after_scaling(
    models: dict[str, Path], corpus: Manifest, tmp_path: Path
) -> None:
    units = fitted(config_of(models, "w2v-bert", normalise=True, sample_frames=10_000), corpus, tmp_path)
    book = units.codebook
    frames = torch.cat(units.features([corpus.audio(row) for row in corpus.rows]))
    torch.testing.assert_close(book["mean"], frames.mean(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(book["deviation"], frames.std(0, correction=0), atol=1e-4, rtol=1e-3)
    [audio] = sounds([1.0])
    scaled = (units.features([audio])[0] - book["mean"]) / book["deviation"]
    assert torch.equal(units.encode([audio])[0].streams[0], torch.cdist(scaled, book["centroids"]).argmin(1))


def test_wrong_audio_is_refused(models: dict[str, Path], corpus: Manifest, tmp_path: Path) -> None:
    units = fitted(config_of(models, "hubert-layer"), corpus, tmp_path)
    with pytest.raises(InvalidAudio, match="expected 16000 Hz"):
        units.encode([Audio(torch.zeros(1, 800), 8000)])
    with pytest.raises(InvalidAudio, match="at least one"):
        units.encode([])


# Checkpoints


@pytest.mark.parametrize(
    ("config", "model", "options", "message"),
    [
        (WhisperConfig, "hubert-group", {}, "expected a model of type whisper, got hubert"),
        (HubertConfig, "w2v-bert", {}, "expected a model of type hubert or wavlm or wav2vec2, got wav2vec2-bert"),
        (W2vBertConfig, "wavlm", {}, "expected a model of type wav2vec2-bert, got wavlm"),
        (HubertConfig, "hubert-group", {"layer": 4}, r"its encoder has 3 layers, got layer=4; give 1 to 3"),
        (WhisperConfig, "whisper", {"layer": 4}, r"its encoder has 3 layers, got layer=4; give 1 to 3"),
        (WhisperConfig, "whisper", {}, r"at most 3 s at once, got longest_s=30; set `longest_s: 3`"),
    ],
)
def test_an_incompatible_model_is_named(
    models: dict[str, Path], config: type[SslConfig], model: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidConfig, match=rf"{model}.*{message}"):
        open_encoder(config(**{"path": models[model], "layer": 2, **options}), CPU)


def test_other_rates_are_refused(models: dict[str, Path], tmp_path: Path) -> None:
    directory = shutil.copytree(models["w2v-bert"], tmp_path / "bert")
    file = directory / "preprocessor_config.json"
    settings = json.loads(file.read_text())
    for changed, message in (
        ({"stride": 1}, "expected frames of 320 samples, got 160"),
        ({"sampling_rate": 8000}, "expected an encoder for 16000 Hz, got 8000 Hz"),
    ):
        file.write_text(json.dumps(settings | changed))
        with pytest.raises(InvalidConfig, match=message):
            open_encoder(W2vBertConfig(path=directory, layer=1), CPU)


def test_incomplete_or_pickled_weights_are_refused(models: dict[str, Path], tmp_path: Path) -> None:
    def opened(directory: Path) -> None:
        load_encoder(HubertConfig(path=directory, layer=1), ("hubert",), transformers.Wav2Vec2FeatureExtractor)

    lacking = shutil.copytree(models["hubert-group"], tmp_path / "lacking")
    model = AutoModel.from_pretrained(lacking)
    weights = {k: x for k, x in model.state_dict().items() if not k.startswith(("encoder.layers.1", "masked"))}
    model.save_pretrained(lacking, state_dict=weights)
    with pytest.raises(InvalidConfig, match=r"lacking: the weights lack \d+ tensor.* as 'encoder\.layers\.1"):
        opened(lacking)
    pickled = shutil.copytree(models["hubert-group"], tmp_path / "pickled")
    (pickled / "model.safetensors").unlink()
    torch.save(model.state_dict(), pickled / "pytorch_model.bin")
    with pytest.raises(
        ArecaError, match=r"pickled: has no \*\.safetensors, and pickled weights are never read; .*`path`"
    ):
        opened(pickled)
    bare = shutil.copytree(models["hubert-group"], tmp_path / "bare")
    (bare / "preprocessor_config.json").unlink()
    with pytest.raises(ArecaError, match=r"bare: transformers cannot load it: .*preprocessor_config\.json"):
        opened(bare)


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def repository(models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``org/tiny`` in the hub's cache, whose branch ``main`` is at `COMMIT`."""
    repository = tmp_path / "models--org--tiny"
    shutil.copytree(models["wavlm"], repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return repository


def test_units_need_the_commit_that_they_were_trained_on(repository: Path, corpus: Manifest, tmp_path: Path) -> None:
    config = HubertConfig(model="org/tiny", layer=2, clusters=12, sample_frames=400)
    units = fitted(config, corpus, tmp_path / "fitted")
    assert SslUnits.pinned(config) == replace(config, revision=COMMIT)
    moved = COMMIT[::-1]
    (repository / "snapshots" / COMMIT).rename(repository / "snapshots" / moved)
    (repository / "refs" / "main").write_text(moved)
    message = f"trained on commit {COMMIT}, and revision 'main' is now {moved}; give revision={COMMIT}"
    with pytest.raises(InvalidConfig, match=message):
        SslUnits.load(config, {}, tmp_path / "fitted", device=CPU, dtype=torch.float32)
    assert SslUnits.pinned(units.config).revision == moved


def test_a_hub_id_is_found_in_the_cache(models: dict[str, Path], repository: Path) -> None:
    [audio] = sounds([0.5])
    by_path = unclustered(config_of(models, "wavlm")).features([audio])[0]
    for revision in ("main", COMMIT):
        by_id = unclustered(HubertConfig(model="org/tiny", revision=revision, layer=2)).features([audio])[0]
        assert torch.equal(by_id, by_path)
    with pytest.raises(ArecaError, match=r"cannot fetch 'org/other' at revision 'main': .*the directory as `path`"):
        open_encoder(HubertConfig(model="org/other"), CPU)


# The light half


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (HubertConfig, {"layer": 0}, "layer must be positive, got 0"),
        (HubertConfig, {"clusters": -1}, "clusters must be positive"),
        (HubertConfig, {"longest_s": 0.5}, "longest_s must be at least 1 second, got 0.5"),
        (HubertConfig, {"model": "./my/model"}, r"expected a hub id like 'org/name', got './my/model'.*`path`"),
        (HubertConfig, {"frame_rate_hz": 30}, "frame_rate_hz"),
        (WhisperConfig, {"silence_to_s": 0.0}, "silence_to_s must be from 0.1 to 30 seconds, got 0"),
        (WhisperConfig, {"sample_frames": 0}, "sample_frames must be positive"),
        (HubertConfig, {"silence_to_s": 1.0}, "no option is called 'silence_to_s'"),
    ],
)
def test_options_are_checked(config: type[SslConfig], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        build(config, options, "tokenizer")


def test_the_spec_needs_no_weights_and_names_a_missing_model(tmp_path: Path) -> None:
    streams = {config: areca_ssl.spec(config(), {}).streams for config in (HubertConfig, WhisperConfig, W2vBertConfig)}
    assert [str(s) for [s] in streams.values()] == ["unit[1000] at 50 Hz", "unit[1024] at 50 Hz", "unit[1024] at 25 Hz"]
    for path, message in ((tmp_path, "has no config.json"), (tmp_path / "none", "is not a directory")):
        with pytest.raises(InvalidConfig, match=f"{message}; give a directory in the hub's layout"):
            areca_ssl.spec(HubertConfig(path=path), {})


def test_light_half_imports_neither_torch_nor_transformers() -> None:
    code = "import sys, areca_ssl; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", [ONE_EACH[0], *(pytest.param(n, marks=pytest.mark.slow) for n in ONE_EACH[1:])])
def test_the_conformance_kit_passes(models: dict[str, Path], tmp_path: Path, name: str) -> None:
    registry = Registry.discover()
    entry = registry.find(Kind.TOKENIZER, name.removesuffix("-group"))
    short = {"longest_s": 3.0} if name == "whisper" else {}
    options = {"path": str(models[name]), "layer": 2, **short}
    outcomes = list(run(CheckedComponent(entry, tmp_path, registry=registry, options=options)))
    assert [(o.check, o.message) for o in outcomes if o.state == "fail"] == []
    assert {o.check.partition("_")[0] for o in outcomes if o.state == "skip"} == {"codebooks", "decode", "stream"}
