"""SoundStream: causal networks, moving codebooks, discriminators, and training that resumes."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from areca import audio
from areca.errors import IncompatibleParts, InvalidAudio, InvalidCodes, InvalidManifest
from areca.interfaces import Job, StreamingDecoder
from areca.manifest import FileManifest, Manifest, Utterance, read_manifest, write_manifest
from areca.mel import MelConfig, log_mel
from areca.specs import Stream, TokenizerSpec
from areca.types import Audio, Codes
from areca_soundstream.corpus import Speech, read_speech
from areca_soundstream.discriminators import StftDiscriminator, WaveDiscriminator, build_discriminators
from areca_soundstream.losses import WINDOWS, reconstruction_loss
from areca_soundstream.model import _PIECE_FRAMES, Levels, SoundStream
from areca_soundstream.network import Codec, Past
from areca_soundstream.options import LevelsConfig, SoundStreamConfig, levels_spec, spec
from areca_soundstream.quantizer import Averages, draw_levels
from areca_soundstream.training import Trainee

CPU = torch.device("cpu")
CONFIG = SoundStreamConfig(
    strides=(5, 4, 4, 4), width=4, dimension=8, levels=4, codebook_size=12, wave_width=4, stft_width=2,
    crop_s=0.16, batch=2, steps=6, reconstruction_steps=2, checkpoint_steps=2,
)  # fmt: skip
PAPER = {
    "strides": (2, 4, 5, 8), "width": 32, "dimension": 512, "levels": 12, "codebook_size": 1024,
    "wave_width": 16, "stft_width": 32, "replace_below": 2.0, "reconstruction_steps": 0, "batch": 32,
}  # fmt: skip


def glide(seed: int, seconds: float = 0.7) -> Audio:
    """Four harmonics of a gliding tone over noise."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(int(seconds * 16_000)) / 16_000
    low, high = 150 + 300 * torch.rand(2, generator=generator)
    phase = 2 * math.pi * torch.cumsum(torch.linspace(float(low), float(high), len(t)) / 16_000, 0)
    x = sum(torch.sin(k * phase) / k for k in range(1, 5)) * 0.15
    return Audio((x + 0.01 * torch.randn(t.shape, generator=generator))[None], 16_000, f"glide {seed}")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("glides")
    for i in range(12):
        audio.write(root / f"{i}.wav", glide(i, 0.1 + 0.08 * i))
    rows = [Utterance(id=str(i), audio=f"{i}.wav", split="test" if i == 11 else "train") for i in range(12)]
    write_manifest(root / "manifest.jsonl", rows)
    return read_manifest(root / "manifest.jsonl")


def fit(config: SoundStreamConfig, data: Manifest, directory: Path, seed: int = 0, **job: Any) -> Path:
    directory.mkdir(exist_ok=True)
    given = Job(directory, seed, CPU, **job)
    SoundStream.fit(config, {}, data, given)
    shutil.rmtree(given.work)  # as core does
    return directory


def load(config: SoundStreamConfig, files: Path) -> SoundStream:
    return SoundStream.load(config, {}, files, device=CPU, dtype=torch.float32)


@pytest.fixture(scope="module")
def fitted(data: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(CONFIG, data, tmp_path_factory.mktemp("fitted"))


@pytest.fixture(scope="module")
def tokenizer(fitted: Path) -> SoundStream:
    return load(CONFIG, fitted)


def test_the_default_is_small_and_the_paper_can_be_built() -> None:
    with torch.device("meta"):
        small, paper = Codec(SoundStreamConfig()), Codec(SoundStreamConfig(**PAPER))
    count = sum(x.numel() for x in small.state_dict().values())
    assert 1.5e6 < count < 2e6
    assert [(s.size, s.frame_rate_hz) for s in spec(SoundStreamConfig(), {}).streams] == [(256, 50.0)] * 16
    assert [(s.size, s.frame_rate_hz) for s in spec(SoundStreamConfig(**PAPER), {}).streams] == [(1024, 50.0)] * 12
    # Section III.A: units of 24 c^2 weights, strided convolutions of kernel 2S from c to 2c channels.
    weights = sum(c * c * (24 + 4 * s) for c, s in zip((32, 64, 128, 256), (2, 4, 5, 8), strict=True))
    matrices = [x.numel() for x in paper.encoder.parameters() if x.ndim == 3]
    assert sum(matrices) == weights + 7 * 32 + 3 * 512 * 512


def test_the_networks_are_causal() -> None:
    codec = _codec(CONFIG)
    x = torch.randn(1, 1, 320 * 9, generator=torch.Generator().manual_seed(0), requires_grad=True)
    vectors = codec.encoder(x)
    assert vectors.shape == (1, 8, 9)
    [gradient] = torch.autograd.grad(vectors[..., 4].sum(), x)
    assert gradient[..., 320 * 5 - 1].abs().max() > 0 and gradient[..., 320 * 5 :].abs().max() == 0
    z = torch.randn(1, 8, 9, generator=torch.Generator().manual_seed(1), requires_grad=True)
    y = codec.decoder(z)
    assert y.shape == (1, 1, 320 * 9)
    [gradient] = torch.autograd.grad(y[..., 320 * 5 - 1].sum(), z)
    assert gradient[..., 4].abs().max() > 0 and gradient[..., 5:].abs().max() == 0


def _codec(config: SoundStreamConfig) -> Codec:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Codec(config)


@pytest.mark.parametrize("sizes", [(1,) * 9, (2, 7), (4, 1, 4)])
@torch.no_grad()
def test_pieces_of_a_signal_give_the_whole(sizes: tuple[int, ...]) -> None:
    codec = _codec(CONFIG)
    x = torch.randn(1, 1, 320 * 9, generator=torch.Generator().manual_seed(0))
    past: Past = {}
    pieces = [codec.encoder(part, past) for part in x.split([320 * n for n in sizes], -1)]
    whole = codec.encoder(x)
    torch.testing.assert_close(torch.cat(pieces, -1), whole)
    past = {}
    decoded = [codec.decoder(part, past) for part in whole.split(sizes, -1)]
    torch.testing.assert_close(torch.cat(decoded, -1), codec.decoder(whole))


@pytest.mark.parametrize("size", [1, 13])
def test_codes_pushed_in_pieces_are_decoded_as_the_whole(tokenizer: SoundStream, size: int) -> None:
    assert isinstance(tokenizer, StreamingDecoder)
    [codes] = tokenizer.encode([glide(50, 1.01)])
    assert [len(s) for s in codes.streams] == [51] * 4
    [whole] = tokenizer.decode([codes])
    assert whole.samples.shape == (1, 51 * 320) and whole.sample_rate_hz == 16_000
    assert whole.samples.abs().max() <= 1
    session = tokenizer.open()
    pieces = [session.push(Codes(part)) for part in zip(*(s.split(size) for s in codes.streams), strict=True)]
    assert session.finish() is None
    samples = torch.cat([piece.samples for piece in pieces if piece is not None], 1)
    torch.testing.assert_close(samples, whole.samples, atol=1e-5, rtol=0)


def test_a_long_recording_is_encoded_in_pieces(tokenizer: SoundStream) -> None:
    x = glide(51, 1.3 * _PIECE_FRAMES / 50)
    [codes] = tokenizer.encode([x])
    with torch.no_grad():
        whole = tokenizer.codec.encode(x.samples[0], 4, {})
    assert (torch.stack(codes.streams) == whole).float().mean() > 0.999
    assert tokenizer.decode([codes])[0].samples.shape == x.samples.shape


def test_fewer_levels_are_the_first_of_more(tokenizer: SoundStream) -> None:
    [all_codes] = tokenizer.encode([glide(52)])
    first = Levels.load(LevelsConfig(levels=2), {"tokenizer": tokenizer}, None, device=CPU, dtype=torch.float32)
    [codes] = first.encode([glide(52)])
    assert all(torch.equal(x, y) for x, y in zip(codes.streams, all_codes.streams[:2], strict=True))
    assert len(first.codebooks()) == 2 and len(tokenizer.codebooks()) == 4
    [decoded] = first.decode([codes])
    with torch.no_grad():
        a, b = (first.codebooks()[k][codes.streams[k]] for k in range(2))
        wanted = tokenizer.codec.decoder((a + b).T[None])[0, 0].clamp(-1, 1)
    torch.testing.assert_close(decoded.samples[0], wanted)
    with pytest.raises(InvalidCodes, match=r"expected 4 stream\(s\), got 2"):
        tokenizer.decode([codes])
    inner = spec(CONFIG, {})
    assert levels_spec(LevelsConfig(levels=3), {"tokenizer": inner}).streams == inner.streams[:3]
    with pytest.raises(IncompatibleParts, match=r"expected at most 4, .* got 5"):
        levels_spec(LevelsConfig(levels=5), {"tokenizer": inner})
    with pytest.raises(ValueError, match="levels must be positive, got 0"):
        LevelsConfig(levels=0)


def test_codebooks_follow_the_mean_of_their_vectors() -> None:
    books = torch.tensor([[[0.0], [10.0]], [[-1.0], [1.0]]])
    averages = Averages(books, decay=0.75, replace_below=0.0)
    averages.uses.fill_(2.0)
    averages.sums.copy_(2 * books)
    points = torch.tensor([[1.0], [2.0], [3.0], [12.0]])
    kept = torch.tensor([2, 2, 1, 1])
    total = averages.advance(books, points, kept, torch.Generator())
    assert total[:, 0].tolist() == [1.0, 1.0, 0.0, 10.0]  # residuals 1, 2, 3, 2: all nearest to 1
    assert averages.uses.tolist() == [[2.25, 1.75], [1.5, 2.5]]
    expected = [[6 / 4 / 2.25, (15 + 3) / 1.75], [-1.0, (1.5 + 8 / 4) / 2.5]]
    torch.testing.assert_close(books[..., 0], torch.tensor(expected))


def test_unused_codes_are_replaced_by_vectors_of_the_batch() -> None:
    books = torch.tensor([[[0.0], [100.0], [200.0]]])
    averages = Averages(books, decay=0.5, replace_below=0.75)
    averages.uses.copy_(torch.tensor([[2.0, 1.0, 4.0]]))
    averages.sums.copy_(books * averages.uses[..., None])
    averages.advance(books, torch.tensor([[3.0], [5.0]]), torch.tensor([1, 1]), torch.Generator().manual_seed(0))
    assert float(books[0, 0]) == pytest.approx(4 / 2)  # uses 2 -> 2, sums 0 -> 4
    assert float(books[0, 1]) in (3.0, 5.0) and float(averages.uses[0, 1]) == 0.75
    assert float(books[0, 2]) == 200.0 and float(averages.uses[0, 2]) == 2.0


def test_codebooks_start_at_the_vectors_of_the_encoder() -> None:
    trainee, numbers = _trainee(), []

    def draw(generator: torch.Generator) -> torch.Tensor:
        numbers.append(generator.initial_seed())
        return torch.randn(2, 1, 2_560, generator=generator) * 0.1

    real = draw(torch.Generator().manual_seed(0))
    before = _error(trainee, real)
    trainee.start(draw, 0)
    assert len(set(numbers)) == len(numbers) == 1 + math.ceil(8 * 12 / 16)
    assert _error(trainee, real) < 0.5 * before
    torch.testing.assert_close(trainee.averages.uses, torch.full((4, 12), 16 / 12))
    torch.testing.assert_close(trainee.averages.sums, trainee.codec.codebooks * 16 / 12)
    fake, _ = trainee(real, 0, 0)
    assert fake.shape == real.shape
    torch.autograd.backward(fake.sum())
    assert all(x.grad is not None for x in trainee.codec.encoder.parameters())  # through the quantizer


def _trainee() -> Trainee:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return Trainee(CONFIG)


@torch.no_grad()
def _error(trainee: Trainee, real: torch.Tensor) -> float:
    """Return the mean squared error of vectors at all levels."""
    points = trainee.codec.encoder(real).transpose(1, 2).reshape(-1, CONFIG.dimension)
    books = trainee.codec.codebooks.clone()
    total = Averages(books, decay=0.5, replace_below=0.0).advance(
        books, points, torch.full((len(points),), 4), torch.Generator()
    )
    return float((points - total).square().mean())


def test_dropout_draws_every_number_of_levels() -> None:
    drawn = draw_levels(4_000, 4, dropout=True, generator=torch.Generator().manual_seed(0))
    assert torch.bincount(drawn, minlength=5)[1:].tolist() == pytest.approx([1_000] * 4, rel=0.1)
    assert int(torch.bincount(drawn)[0]) == 0
    assert draw_levels(3, 4, dropout=False, generator=torch.Generator()).tolist() == [4, 4, 4]


def test_the_discriminators_have_the_shapes_of_the_papers() -> None:
    x = torch.zeros(2, 1, 8_192)
    with torch.no_grad():
        wave = WaveDiscriminator(4, 2)(x)
        spectrum = StftDiscriminator(2)(x)
    assert [f.shape[1:] for f in wave.features] == [
        (4, 4096), (16, 1024), (64, 256), (256, 64), (256, 16), (256, 16)
    ]  # fmt: skip
    assert wave.logits.shape == (2, 1, 16)
    assert [f.shape[1:] for f in spectrum.features] == [
        (2, 33, 512), (4, 33, 256), (8, 16, 128), (8, 16, 64), (16, 8, 32), (16, 8, 16), (32, 4, 8)
    ]  # fmt: skip
    assert spectrum.logits.shape == (2, 1, 4, 1)
    paper = build_discriminators(SoundStreamConfig(**PAPER))
    assert len(paper.members) == 4
    groups = [m.groups for m in paper.members[0].modules() if isinstance(m, torch.nn.Conv1d)]
    assert groups == [1, 4, 16, 64, 256, 1, 1]


def test_the_reconstruction_loss_compares_mels_at_every_window() -> None:
    x = 0.3 * torch.randn(2, 6_000, generator=torch.Generator().manual_seed(0))
    assert float(reconstruction_loss(x, x, 16_000)) < 1e-3
    # Twice the amplitude adds log(2) to every logarithm, and each magnitude to itself.
    expected = 0.0
    for s in WINDOWS:
        mel = log_mel(x, MelConfig(16_000, max(s, 512), s, s // 4, 64)).exp()
        expected += (float(mel.mean()) + math.sqrt(s / 2) * math.log(2)) / 6
    assert WINDOWS == (64, 128, 256, 512, 1024, 2048)
    assert float(reconstruction_loss(x, 2 * x, 16_000)) == pytest.approx(expected, rel=1e-4)


def test_silence_has_finite_gradients() -> None:
    fake = torch.zeros(1, 2_560, requires_grad=True)
    torch.autograd.backward(reconstruction_loss(torch.zeros(1, 2_560), fake, 16_000))
    assert fake.grad is not None and bool(fake.grad.isfinite().all())


def test_crops_are_of_one_recording_and_every_sample_is_used() -> None:
    samples = torch.cat([torch.full((3,), 1), torch.arange(100, 120), torch.arange(200, 208)]).to(torch.int16)
    speech = Speech(samples, torch.tensor([3, 23, 31]))
    crops = (speech.crops(400, 8, torch.Generator().manual_seed(0)) * 32_767).round().long()
    seen = set()
    for row in crops.tolist():
        if row[0] == 1:
            assert row == [1, 1, 1, 0, 0, 0, 0, 0]
        else:
            assert row == list(range(row[0], row[0] + 8)) and row[-1] < (120 if row[0] < 200 else 208)
        seen |= set(row)
    assert seen == {0, *samples.tolist()}
    assert (crops[:, 0] == 200).float().mean() == pytest.approx(8 / 31, abs=0.07)


def test_speech_is_read_up_to_the_quota(data: Manifest, tmp_path: Path) -> None:
    job = Job(tmp_path, 0, CPU)
    speech = read_speech(CONFIG, data, job)
    assert len(speech.ends) == 11 and int(speech.ends[-1]) == len(speech.samples)
    assert len(speech.samples) == sum(int((0.1 + 0.08 * i) * 16_000) for i in range(11))
    again = read_speech(dataclasses.replace(CONFIG, speech_s=1.0), data, job)
    assert len(again.ends) == 11  # only whole chunks


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_a_killed_fit_resumes_to_the_same_bytes(after: int, fitted: Path, data: Manifest, tmp_path: Path) -> None:
    steps: list[int] = []

    def kill(done: int, total: int, message: str = "") -> None:
        if "mels" in message:
            steps.append(done)
            assert ("hinge" in message) == (done > CONFIG.reconstruction_steps)
            if done == after and steps.count(done) == 1:
                raise Killed

    before = torch.get_rng_state()
    with pytest.raises(Killed):
        fit(CONFIG, data, tmp_path / "killed", progress=kill)
    resumed = fit(CONFIG, data, tmp_path / "killed", progress=kill)
    assert steps[after] == after // 2 * 2 + 1
    assert [p.name for p in resumed.iterdir()] == ["codec.safetensors"]
    assert (resumed / "codec.safetensors").read_bytes() == (fitted / "codec.safetensors").read_bytes()
    assert torch.equal(before, torch.get_rng_state())


def test_training_lowers_the_distance(data: Manifest, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, steps=16, reconstruction_steps=16, learning_rate=5e-3)
    distances: list[float] = []

    def listen(done: int, total: int, message: str = "") -> None:
        if message.startswith("mels "):
            distances.append(float(message.split()[1]))

    fit(config, data, tmp_path / "codec", progress=listen)
    assert len(distances) == 16
    assert max(distances[-5:]) < 0.7 * distances[0]


def test_half_precision_halves_the_file(data: Manifest, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, weights_dtype="float16", steps=1)
    half = fit(config, data, tmp_path / "half")
    full = fit(dataclasses.replace(config, weights_dtype="float32"), data, tmp_path / "full")
    sizes = [(d / "codec.safetensors").stat().st_size for d in (half, full)]
    assert sizes[0] < 0.7 * sizes[1]  # the header is as long
    assert load(config, half).codec.codebooks.dtype == torch.float32


def test_wrong_audio_and_wrong_codes_are_named(tokenizer: SoundStream, data: Manifest, tmp_path: Path) -> None:
    with pytest.raises(InvalidAudio, match="expected 16000 Hz with 1 channel"):
        tokenizer.encode([Audio(torch.zeros(1, 800), 8_000)])
    good = torch.zeros(5, dtype=torch.int64)
    with pytest.raises(InvalidCodes, match=r"rvq-3.* holds 12"):
        tokenizer.decode([Codes((good, good, good, good + 12))])
    with pytest.raises(InvalidCodes, match=r"equal length, got \[5, 5, 5, 4\]"):
        tokenizer.open().push(Codes((good, good, good, good[:4])))
    with pytest.raises(InvalidManifest, match="no row with"):
        fit(CONFIG, FileManifest((), tmp_path), tmp_path / "none")


def test_another_rate_has_codes_of_another_rate() -> None:
    config = SoundStreamConfig(sample_rate_hz=24_000)
    assert spec(config, {}) == TokenizerSpec(tuple(Stream(f"rvq-{k}", 256, 75.0) for k in range(16)), 24_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"strides": ()}, {"strides": (2, 0)}, {"width": 0}, {"decay": 1.0}, {"wave_width": 6}, {"crop_s": 0.1},
        {"batch": 0}, {"replace_below": -1.0}, {"reconstruction_steps": -1}, {"steps": 0}, {"feature_weight": -1.0},
    ],
    ids=lambda x: "-".join(map(str, x.items())),
)  # fmt: skip
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SoundStreamConfig(**wrong)
