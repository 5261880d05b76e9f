"""Units: clustering, features, batching, the encoder's training and its resumption, deduplication."""

from __future__ import annotations

import dataclasses
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.audio import write
from areca.batching import pad_batch
from areca.component import Kind
from areca.errors import IncompatibleParts, InvalidAudio, InvalidCodes
from areca.fitting import sampling
from areca.fitting.batches import iterate_batches
from areca.fitting.kmeans import assign, fit_kmeans
from areca.fitting.loop import learning_rate_factor
from areca.fitting.sampling import read_recording, sample_features
from areca.interfaces import Job
from areca.manifest import Manifest, Utterance, read_manifest, write_manifest
from areca.options import build
from areca.registry.parts import resolve
from areca.registry.registry import Registry
from areca.specs import Stream, TokenizerSpec
from areca.testing.corpus import write_corpus
from areca.types import Audio, Codes
from areca_units import dedup_spec, encoder_spec, kmeans_spec, units_spec, usm_v2
from areca_units.augment import _add_echo, augment, warp
from areca_units.bottleneck import Fsq, Vq, unevenness
from areca_units.ctc import Alphabet, CtcModel, train_ctc
from areca_units.dedup import Dedup, deduplicate, expand
from areca_units.encoder import Encoder, build_encoder
from areca_units.features import compute_mel, normalise
from areca_units.mfcc import MfccKmeans, compute_mfcc
from areca_units.options import DedupConfig, EncoderConfig, KmeansConfig, MfccKmeansConfig, UsmV1Config, UsmV2Config
from areca_units.training import balance_speakers
from areca_units.usm_v2 import UsmV2

CPU = torch.device("cpu")
RATE_HZ = 16_000
LETTERS = {"a": (300, 900), "b": (450, 2100), "c": (700, 1500), "d": (550, 3000)}
TINY = UsmV2Config(
    width=32, layers=2, layer=2, heads=2, clusters=8, steps=6, batch_s=12.0, sample_frames=400, checkpoint_steps=2
)


def spoken(text: str, generator: torch.Generator) -> Audio:
    """Letters as pairs of tones of 0.16 s with silence between: an alphabet that can be learnt in seconds."""
    parts = []
    for letter in text:
        length = int(RATE_HZ * (0.14 + 0.04 * float(torch.rand(1, generator=generator))))
        time_s = torch.arange(length) / RATE_HZ
        tones = sum(torch.sin(2 * math.pi * hz * time_s) for hz in LETTERS[letter])
        parts += [0.2 * tones * torch.hann_window(length), torch.zeros(RATE_HZ // 20)]
    samples = torch.cat(parts)
    return Audio((samples + 0.001 * torch.randn(len(samples), generator=generator))[None], RATE_HZ)


def some_texts(count: int, generator: torch.Generator) -> list[str]:
    letters = list(LETTERS)
    sizes = torch.randint(2, 7, (count,), generator=generator).tolist()
    return ["".join(letters[i] for i in torch.randint(len(letters), (n,), generator=generator)) for n in sizes]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("units-corpus")
    generator = torch.Generator().manual_seed(1)
    rows = []
    for i, text in enumerate(some_texts(48, generator)):
        write(root / f"{i}.wav", spoken(text, generator))
        split = "test" if i >= 40 else "train"
        rows.append(Utterance(id=str(i), audio=f"{i}.wav", text=text.upper(), language="en", split=split))
    write_manifest(root / "manifest.jsonl", rows)
    return read_manifest(root / "manifest.jsonl")


def fitted(target: Any, config: Any, data: Manifest, directory: Path, seed: int = 3) -> Any:
    directory.mkdir(parents=True, exist_ok=True)
    job = Job(directory, seed, CPU)
    target.fit(config, {}, data, job)
    shutil.rmtree(job.work)  # as core does
    return target.load(config, {}, directory, device=CPU, dtype=torch.float32)


@pytest.fixture(scope="session")
def usm(corpus: Manifest, tmp_path_factory: pytest.TempPathFactory) -> UsmV2:
    return fitted(UsmV2, TINY, corpus, tmp_path_factory.mktemp("usm"))


def held_out(corpus: Manifest) -> list[Audio]:
    test = corpus.select(split="test")
    return [test.audio(row) for row in test.rows]


# k-means


def clouds(count: int, generator: torch.Generator, each: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    centres = 20 * torch.randn(count, 8, generator=generator)
    labels = torch.arange(count).repeat(each)
    return centres[labels] + torch.randn(len(labels), 8, generator=generator), centres


@pytest.mark.parametrize("each", [50, 2_001])  # within the sample that it starts from, and beyond
def test_kmeans_finds_separate_clouds(each: int) -> None:
    points, centres = clouds(12, torch.Generator().manual_seed(0), each)
    centroids = fit_kmeans(points, 12, generator=torch.Generator().manual_seed(0))
    nearest = torch.cdist(centres, centroids)
    assert nearest.min(1).values.max() < 1.0
    assert len(set(nearest.argmin(1).tolist())) == 12


def test_assignment_is_the_nearest_by_plain_distances() -> None:
    generator = torch.Generator().manual_seed(0)
    points, centroids = torch.randn(500, 7, generator=generator), torch.randn(9, 7, generator=generator)
    index, squared = assign(points, centroids)
    direct = (points[:, None] - centroids).square().sum(-1).min(1)
    assert torch.equal(index, direct.indices)
    torch.testing.assert_close(squared, direct.values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [4_000, 40_001])
def test_kmeans_is_no_worse_than_scikit_learn(count: int) -> None:
    sklearn_cluster = pytest.importorskip("sklearn.cluster")
    points = torch.randn(count, 6, generator=torch.Generator().manual_seed(2))
    ours = assign(points, fit_kmeans(points, 32, generator=torch.Generator().manual_seed(0)))[1].sum()
    theirs = sklearn_cluster.KMeans(32, n_init=1, random_state=0).fit(points.numpy()).inertia_
    assert ours < 1.02 * theirs


def test_kmeans_gives_rare_sounds_separate_clusters() -> None:
    generator = torch.Generator().manual_seed(0)
    often, often_at = clouds(12, generator, 2_000)
    rare, rare_at = clouds(6, generator, 60)
    centres = torch.cat((often_at, rare_at + 60))
    points = torch.cat((often, rare + 60))
    nearest = torch.cdist(centres, fit_kmeans(points, 18, generator=torch.Generator().manual_seed(0)))
    assert nearest.min(1).values.max() < 1.0
    assert len(set(nearest.argmin(1).tolist())) == 18


@pytest.mark.parametrize("count", [600, 20_000])
def test_kmeans_repeats_and_depends_on_its_seed(count: int) -> None:
    points = torch.randn(count, 4, generator=torch.Generator().manual_seed(2))
    first, again, other = (fit_kmeans(points, 16, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_kmeans_keeps_every_cluster_alive_among_duplicates() -> None:
    points = torch.cat((torch.zeros(500, 3), torch.arange(12.0).view(4, 3)))
    centroids = fit_kmeans(points, 5, generator=torch.Generator().manual_seed(0))
    assert len(assign(points, centroids)[0].unique()) == 5


def test_kmeans_refuses_more_clusters_than_points() -> None:
    with pytest.raises(ValueError, match="8 clusters need at least as many frames, got 5"):
        fit_kmeans(torch.randn(5, 2), 8, generator=torch.Generator())


def test_features_come_from_both_sides_each_recording_once(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    job = Job(tmp_path, 0, CPU)
    lengths = sample_features(
        corpus, lambda audios: [torch.tensor([a.seconds]) for a in audios], sample_rate_hz=16_000, frames=99, job=job
    )
    train = corpus.select(split="train")
    both = [read_recording(train, (row, column)).seconds for row in train.rows for column in ("audio", "target_audio")]
    assert sorted(lengths.tolist()) == pytest.approx(sorted(both))


def test_an_interrupted_pass_resumes(corpus: Manifest, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(sampling, "_CHUNK", 8)
    heard: list[int] = []

    def encode(audios: list[Audio]) -> list[torch.Tensor]:
        heard.append(len(audios))
        return [compute_mfcc(a, 13) for a in audios]

    def stop(done: int, total: int, message: str = "") -> None:
        if len(heard) == 3:
            raise KeyboardInterrupt

    (tmp_path / "straight").mkdir()
    straight = sample_features(
        corpus, encode, sample_rate_hz=16_000, frames=10**6, job=Job(tmp_path / "straight", 3, CPU)
    )
    assert heard == [8, 8, 8, 8, 8]
    heard.clear()
    with pytest.raises(KeyboardInterrupt):
        sample_features(corpus, encode, sample_rate_hz=16_000, frames=10**6, job=Job(tmp_path, 3, CPU, stop))
    resumed = sample_features(corpus, encode, sample_rate_hz=16_000, frames=10**6, job=Job(tmp_path, 3, CPU))
    assert heard == [8, 8, 8, 8, 8]
    assert torch.equal(resumed, straight)


# Features and batches


def test_normalised_columns_have_mean_zero_and_variance_one() -> None:
    x = normalise(3 + 5 * torch.randn(200, 4, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(x.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.var(0, correction=0), torch.ones(4), atol=1e-4, rtol=0)
    assert torch.isfinite(normalise(torch.ones(1, 4))).all()


def test_batches_of_an_epoch_hold_every_utterance_once() -> None:
    lengths = list(range(10, 60))
    stream = iterate_batches(lengths, 200, seed=5)
    seen: list[int] = []
    while len(seen) < 50:
        seen += next(stream)
    assert sorted(seen) == list(range(50))
    assert next(iterate_batches(lengths, 200, seed=5)) == next(iterate_batches(lengths, 200, seed=5))
    assert next(iterate_batches(lengths, 200, seed=5)) != next(iterate_batches(lengths, 200, seed=6))


def test_no_speaker_has_more_than_its_share() -> None:
    rows = [Utterance(id=str(i), speaker=speaker) for i, speaker in enumerate([*"aaaaaabbc", None, None])]
    kept = balance_speakers(rows, 2, seed=0)
    assert [row.speaker for row in kept] == [*"aabbc", None, None]
    assert kept == balance_speakers(rows, 2, seed=0) != balance_speakers(rows, 2, seed=1)
    assert balance_speakers(rows, 6, seed=0) == rows


def test_warp_moves_a_peak_in_time_and_frequency() -> None:
    mel = torch.zeros(100, 80)
    mel[60, 20] = 1.0
    peak = warp(mel, 1.25, 1.1).argmax()
    assert divmod(int(peak), 80) == (48, 18)  # 60 / 1.25 and 20 / 1.1
    assert torch.equal(warp(mel, 1.0, 1.0), mel)


def test_an_echo_comes_back_fainter() -> None:
    mel = torch.full((40, 80), -11.0)
    mel[3] = 0.0
    level = _add_echo(mel, torch.Generator().manual_seed(1))[:, 0]
    first, second, third = (level > -8).nonzero()[:3, 0].tolist()
    assert (first, second - first) == (3, third - second)
    assert level[3] == pytest.approx(0.0, abs=1e-3)
    assert 0.15 < float(level[second].exp()) < 0.9
    assert float(level[third]) == pytest.approx(2 * float(level[second]), rel=0.02)  # the same share again


def test_augmentation_depends_only_on_its_generator() -> None:
    mel = torch.randn(90, 80, generator=torch.Generator().manual_seed(0))
    before = torch.random.get_rng_state()
    first, again, other = (augment(mel, TINY, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_schedule_warms_up_and_ends_at_zero() -> None:
    shares = [learning_rate_factor(step, 200) for step in range(201)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == pytest.approx(1.0)
    assert shares[105] == pytest.approx((1 + math.cos(math.pi * 95 / 190)) / 2)
    assert shares[200] == pytest.approx(0.0)


def test_alphabet_round_trip_and_ctc_collapse() -> None:
    alphabet = Alphabet.of(["Ab  c", "d"])
    assert alphabet.symbols == " abcd"
    assert alphabet.encode("AB c!").tolist() == [2, 3, 1, 4]
    assert alphabet.decode(torch.tensor([0, 2, 2, 0, 2, 3, 0])) == "aab"


# The encoder


@pytest.mark.parametrize("heads", [0, 2])
def test_padding_changes_no_hidden_state(heads: int) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Encoder(inputs=80, width=32, layers=2, heads=heads, kernel=5, expansion=2, dropout=0.1).eval()
    items = [torch.randn(n, 80, generator=generator) for n in (1, 37, 150)]
    batch, lengths = pad_batch(items)
    together, frames = encoder(batch + 7.0 * (batch == 0), lengths)  # rubbish where the padding is
    assert frames.tolist() == [math.ceil(n / 4) for n in (1, 37, 150)]
    for item, hidden, count in zip(items, together, frames.tolist(), strict=True):
        alone, _ = encoder(item[None], torch.tensor([len(item)]))
        torch.testing.assert_close(hidden[:count], alone[0], atol=1e-5, rtol=1e-4)
        assert not hidden[count:].any()


def test_a_batch_gives_the_units_of_single_recordings(usm: UsmV2, corpus: Manifest) -> None:
    audios = held_out(corpus)
    together = usm.encode(audios)
    same = total = 0
    for audio, codes in zip(audios, together, strict=True):
        alone = usm.encode([audio])[0].streams[0]
        same += int((alone == codes.streams[0]).sum())
        total += len(alone)
    assert same >= 0.999 * total
    assert all(torch.equal(a.streams[0], b.streams[0]) for a, b in zip(together, usm.encode(audios), strict=True))


@pytest.mark.parametrize("seconds", [0.001, 0.04, 1.0, 3.337])
def test_a_second_has_25_frames(usm: UsmV2, seconds: float) -> None:
    samples = 0.1 * torch.randn(1, max(1, int(seconds * RATE_HZ)), generator=torch.Generator().manual_seed(0))
    frames = usm.encode([Audio(samples, RATE_HZ)])[0].streams[0]
    assert abs(len(frames) - 25 * seconds) <= 2
    assert int(frames.min()) >= 0 and int(frames.max()) < TINY.clusters


def test_wrong_audio_is_refused(usm: UsmV2) -> None:
    with pytest.raises(InvalidAudio, match="expected 16000 Hz"):
        usm.encode([Audio(torch.zeros(1, 800), 8000)])
    with pytest.raises(InvalidAudio, match="at least one"):
        usm.encode([])


def test_fit_leaves_its_files_and_no_global_randomness(corpus: Manifest, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    fitted(UsmV2, TINY, corpus, tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "alphabet.json",
        "codebook.safetensors",
        "encoder.safetensors",
    ]


@pytest.mark.parametrize("features", ["posteriors", "layer"])
def test_units_are_the_nearest_centroids_of_the_encoders_output(
    corpus: Manifest, tmp_path: Path, features: str
) -> None:
    config = dataclasses.replace(TINY, features=features, layer=1)
    tokenizer = fitted(UsmV2, config, corpus, tmp_path)
    audio = held_out(corpus)[0]
    x, n = pad_batch([normalise(compute_mel(audio))])
    with torch.inference_mode():
        if features == "layer":
            said = tokenizer.model.encoder(x, n, 1)[0][0]
        else:
            scores, _ = tokenizer.model(x, n)
            said = scores[0].exp().view(-1, 2 * scores.shape[-1])  # two labels a frame
            assert tokenizer.transcribe([audio]) == [
                tokenizer.model.alphabet.decode(scores[0][: 2 * int(-(-n // 4))].argmax(-1))
            ]
    units = tokenizer.encode([audio])[0].streams[0]
    assert torch.equal(units, torch.cdist(said[: len(units)], tokenizer.centroids).argmin(1))


@pytest.mark.parametrize("quantizer", ["vq", "fsq"])
def test_units_are_the_codes_of_the_bottleneck(corpus: Manifest, tmp_path: Path, quantizer: str) -> None:
    config = dataclasses.replace(TINY, quantizer=quantizer, levels=(4, 2))
    tokenizer = fitted(UsmV2, config, corpus, tmp_path)
    audio = held_out(corpus)[0]
    bottleneck = tokenizer.model.bottleneck
    units = tokenizer.encode([audio])[0].streams[0]
    with torch.inference_mode():
        hidden = tokenizer.model.encoder(*pad_batch([normalise(compute_mel(audio))]))[0][0][: len(units)]
        read = tokenizer.model.head(bottleneck(hidden)[0])
        from_units = tokenizer.model.head(bottleneck.up(tokenizer.centroids[units]))
    torch.testing.assert_close(read, from_units)


def test_fsq_rounds_each_dimension_to_a_grid_that_has_every_code_once() -> None:
    fsq = Fsq(6, (4, 3))
    assert fsq.codes().tolist() == [[a, b] for a in (-1.5, -0.5, 0.5, 1.5) for b in (-1.0, 0.0, 1.0)]
    with torch.no_grad():
        fsq.down.weight.copy_(torch.eye(2, 6))
    points = fsq.points(torch.randn(400, 6, generator=torch.Generator().manual_seed(0)))
    rounded = torch.stack(((points[:, 0] - 0.5).round() + 0.5, points[:, 1].round()), 1)
    torch.testing.assert_close(fsq.quantize(points)[0], rounded)
    torch.testing.assert_close(fsq.codes()[assign(points, fsq.codes())[0]], rounded)
    assert len(rounded.unique(dim=0)) == 12


def test_the_gradient_passes_both_bottlenecks_to_all_parameters() -> None:
    hidden = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for bottleneck in (Vq(6, 4, 8), Fsq(6, (3, 3))):
        hidden.grad = None
        said, cost = bottleneck(hidden)
        (said.square().sum() + cost).backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in (hidden, *bottleneck.parameters()))


def test_padding_changes_no_loss_of_a_bottleneck() -> None:
    config = dataclasses.replace(TINY, quantizer="vq", heads=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CtcModel(config, Alphabet("abcd"))
    x, lengths = torch.randn(2, 128, 80, generator=torch.Generator().manual_seed(1)), torch.tensor([128, 60])
    labels = [torch.tensor([1, 2, 3]), torch.tensor([4])]
    padded_more = torch.cat((x, torch.zeros(2, 128, 80)), 1)
    with torch.inference_mode():
        torch.testing.assert_close(model.loss(x, lengths, labels), model.loss(padded_more, lengths, labels))


def test_unevenness_is_0_for_equal_shares_and_1_for_a_single_code() -> None:
    assert float(unevenness(torch.full((8,), 1 / 8))) == pytest.approx(0, abs=1e-5)
    assert float(unevenness(torch.eye(8)[0])) == pytest.approx(1, abs=1e-5)


def test_half_precision_is_stored_and_float32_computes(corpus: Manifest, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, weights_dtype="float16")
    tokenizer = fitted(UsmV2, config, corpus, tmp_path)
    assert {x.dtype for x in load_file(tmp_path / "encoder.safetensors").values()} == {torch.float16}
    assert {x.dtype for x in tokenizer.model.parameters()} == {torch.float32}
    used = torch.cat([c.streams[0] for c in tokenizer.encode(held_out(corpus))]).unique()
    assert len(used) >= TINY.clusters // 2


@pytest.mark.slow
@pytest.mark.parametrize(("quantizer", "clusters", "steps"), [("kmeans", 16, 160), ("vq", 256, 320), ("fsq", 256, 320)])
def test_training_learns_to_read_unheard_tones(
    corpus: Manifest, tmp_path: Path, quantizer: str, clusters: int, steps: int
) -> None:
    config = UsmV2Config(
        width=48, layers=2, layer=2, heads=2, clusters=clusters, steps=steps, batch_s=16.0, sample_frames=900,
        quantizer=quantizer,
    )  # fmt: skip
    tokenizer = fitted(UsmV2, config, corpus, tmp_path)
    generator = torch.Generator().manual_seed(99)
    texts = some_texts(20, generator)
    read = tokenizer.transcribe([spoken(text, generator) for text in texts])
    assert sum(a == b for a, b in zip(read, texts, strict=True)) >= 16, list(zip(read, texts, strict=True))


# A learning rate of 0 leaves the weights that the training starts from.
STILL = dataclasses.replace(TINY, steps=1, learning_rate=0.0)


def another_encoder() -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(77)
        return build_encoder(STILL)


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, b.state_dict()[name]) for name, x in a.state_dict().items())


def test_ctc_starts_from_the_given_encoder(corpus: Manifest, tmp_path: Path) -> None:
    given = another_encoder()
    for encoder in (given, None):
        (tmp_path / str(encoder is None)).mkdir()
        job = Job(tmp_path / str(encoder is None), 3, CPU)
        model = train_ctc(STILL, corpus, job, encoder)
        assert same_weights(given, model.encoder) == (encoder is given)


def test_usm_v2_starts_from_the_encoder_of_best_rq(
    corpus: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(STILL, pretraining_steps=9)
    asked: list[UsmV1Config] = []
    monkeypatch.setattr(usm_v2, "train_best_rq", lambda options, *_: asked.append(options) or another_encoder())
    tokenizer = fitted(UsmV2, config, corpus, tmp_path)
    assert same_weights(another_encoder(), tokenizer.model.encoder)
    # The encoder and the way of training are usm-v2's, the masks those of usm-v1: none but what is filled in.
    shared = {field.name: getattr(config, field.name) for field in dataclasses.fields(EncoderConfig)}
    assert asked == [UsmV1Config(**shared | {"steps": 9, "layer": 2, "masks": UsmV1Config().masks})]


# One process imports and then forks the fits: imports are most of the time. Each fit sets its threads before it starts
# any: torch rebuilds its pool of threads after a fork, and two threads that do so at once fail.
FITS = """
import os, shutil, signal, sys, torch
from pathlib import Path
from areca.interfaces import Job
from areca.manifest import Manifest, read_manifest
from areca_units.options import UsmV2Config
from areca_units.usm_v2 import UsmV2
config = UsmV2Config(width=32, layers=2, layer=2, heads=2, clusters=8, steps=6, batch_s=12.0, sample_frames=400,
                     checkpoint_steps=2, pretraining_steps=4)
data = read_manifest(sys.argv[1])
for run in sys.argv[2:]:
    directory, _, kill_at = run.partition("@")
    def progress(done, total, message=""):
        if kill_at and f"{message.split()[0]}{done}" == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    if (child := os.fork()) == 0:
        torch.set_num_threads(1)
        Path(directory).mkdir(exist_ok=True)
        job = Job(Path(directory), 3, torch.device("cpu"), progress)
        UsmV2.fit(config, {}, data, job)
        shutil.rmtree(job.work)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
def test_a_resumed_fit_gives_the_same_files(corpus: Manifest, tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    runs = [str(straight), f"{killed}@masked3", f"{killed}@CTC3", f"{killed}@CTC5", f"{killed}@frames400", str(killed)]
    manifest = str(corpus.root / "manifest.jsonl")
    done = subprocess.run([sys.executable, "-c", FITS, manifest, *runs], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["0", "-9", "-9", "-9", "-9", "0"], done.stderr
    assert sorted(p.name for p in killed.iterdir()) == sorted(p.name for p in straight.iterdir())
    for made in straight.iterdir():
        assert made.read_bytes() == (killed / made.name).read_bytes(), made.name


# Clusters of another tokenizer's features


def test_one_encoder_serves_any_number_of_units(corpus: Manifest, tmp_path: Path) -> None:
    registry, loader = Registry.discover(), PartLoader(Store(tmp_path), data=corpus, seed=3)

    def made(clusters: int) -> Any:
        inner = {"name": "usm-v2", **dataclasses.asdict(dataclasses.replace(TINY, steps=1))}
        value = {"name": "kmeans", "clusters": clusters, "tokenizer": inner}
        part = resolve(registry, Kind.TOKENIZER, value, role="speech")
        assert part.spec.streams == (Stream("unit", clusters, 25.0),)
        assert part.spec.feature_size is None  # posteriors
        return loader.instance(part)

    few, many = made(5), made(40)
    labels = [artifact.label for artifact in Store(tmp_path).artifacts()]
    assert labels == ["tokenizer kmeans", "tokenizer kmeans", "tokenizer usm-v2"]
    audio = corpus.audio(corpus.rows[0])
    [points], [inner] = many.features([audio]), few.tokenizer.features([audio])
    assert torch.equal(points, inner)
    for units, clusters in ((few, 5), (many, 40)):
        assert units.centroids.shape == (clusters, points.shape[1])
        distances = torch.cdist(points, units.centroids, compute_mode="donot_use_mm_for_euclid_dist")
        chosen = distances.gather(1, units.encode([audio])[0].streams[0][:, None])[:, 0]
        torch.testing.assert_close(
            chosen, distances.amin(1), rtol=1e-3, atol=1e-4
        )  # one step tells points hardly apart
    with pytest.raises(IncompatibleParts, match=r"'mfcc-kmeans' has no tag features; components with it: .*usm-v1"):
        resolve(registry, Kind.TOKENIZER, {"name": "kmeans", "tokenizer": {"name": "mfcc-kmeans"}}, role="speech")


# MFCC units


def test_mfcc_units_distinguish_letters(corpus: Manifest, tmp_path: Path) -> None:
    config = MfccKmeansConfig(clusters=16, sample_frames=1000)
    tokenizer = fitted(MfccKmeans, config, corpus, tmp_path)
    generator = torch.Generator().manual_seed(5)
    middles = {}
    for letter in "abcd":
        codes = tokenizer.encode([spoken("d" + letter * 3 + "a", generator)])[0].streams[0]
        assert abs(len(codes) - 25 * 5 * 0.21) <= 5
        middles[letter] = frozenset(codes[len(codes) // 2 - 3 : len(codes) // 2 + 3].tolist())
    assert len(set(middles.values())) == 4


def test_mfcc_has_the_cosine_transform_of_the_log_mel() -> None:
    audio = spoken("abca", torch.Generator().manual_seed(0))
    mel = compute_mel(audio).double()
    k, n = torch.arange(5.0).double(), torch.arange(80.0).double()
    basis = torch.cos(math.pi / 80 * (n[:, None] + 0.5) * k) * math.sqrt(2 / 80)
    basis[:, 0] /= math.sqrt(2)
    cepstra = mel @ basis
    z = (cepstra - cepstra.mean(0)) / cepstra.std(0, correction=0).clamp(min=1e-2)
    expected = torch.stack([z[i : i + 4].mean(0) for i in range(0, len(z), 4)]).float()
    torch.testing.assert_close(compute_mfcc(audio, 5)[:, :5], expected, atol=1e-3, rtol=1e-3)


# Deduplication


class Fixed:
    """A tokenizer that says what it was told."""

    def __init__(self, *units: list[int]) -> None:
        self.units = units

    def encode(self, audios: list[Audio]) -> list[Codes]:
        return [Codes((torch.tensor(u),), fingerprint="f") for u, _ in zip(self.units, audios, strict=True)]


def test_dedup_joins_runs_and_expands_exactly() -> None:
    inner = Fixed([5, 5, 5, 2, 2, 5], [1])
    wrapper = Dedup.load(DedupConfig(), {"tokenizer": inner}, None, device=CPU, dtype=torch.float32)
    audios = [Audio(torch.zeros(1, 10), RATE_HZ)] * 2
    first, second = wrapper.encode(audios)
    assert first.streams[0].tolist() == [5, 2, 5]
    assert first.durations is not None and first.durations.tolist() == [3, 2, 1]
    assert second.streams[0].tolist() == [1]
    assert first.fingerprint == "f"
    for codes, units in zip((first, second), inner.units, strict=True):
        assert expand(codes).streams[0].tolist() == units


def test_dedup_round_trip_on_random_units() -> None:
    generator = torch.Generator().manual_seed(0)
    for size in (1, 2, 50, 400):
        codes = Codes((torch.randint(3, (size,), generator=generator),))
        short = deduplicate(codes)
        assert torch.equal(expand(short).streams[0], codes.streams[0])
        assert (short.streams[0][1:] != short.streams[0][:-1]).all()


def test_expanding_needs_durations() -> None:
    with pytest.raises(InvalidCodes, match="durations=None"):
        expand(Codes((torch.tensor([1]),)))


@pytest.mark.parametrize(
    "options", [{"features": "layer"}, {"quantizer": "vq", "code_dim": 6}, {"quantizer": "fsq", "levels": (2, 4)}]
)
def test_the_spec_states_the_size_of_the_features(options: dict[str, Any]) -> None:
    config = dataclasses.replace(TINY, **options)
    units = UsmV2(config, CtcModel(config, Alphabet("ab")).eval(), torch.zeros(8, 1))
    [features] = units.features([Audio(torch.randn(1, RATE_HZ), RATE_HZ)])
    inner = encoder_spec(config, {})
    assert features.shape[1] == inner.feature_size
    assert kmeans_spec(KmeansConfig(clusters=5), {"tokenizer": inner}).feature_size == inner.feature_size
    assert dedup_spec(DedupConfig(), {"tokenizer": inner}).feature_size is None


def test_dedup_spec_has_a_variable_rate_and_the_inner_base() -> None:
    inner = units_spec(MfccKmeansConfig(clusters=64), {})
    spec = dedup_spec(DedupConfig(), {"tokenizer": inner})
    assert spec == TokenizerSpec((Stream("unit", 64, None),), 16_000, 1, 25.0)


@pytest.mark.parametrize(
    "streams",
    [(Stream("rvq-0", 8, 50.0), Stream("rvq-1", 8, 50.0)), (Stream("unit", 8, None),)],
    ids=["several streams", "a variable rate"],
)
def test_dedup_refuses_incompatible_tokenizers(streams: tuple[Stream, ...]) -> None:
    with pytest.raises(IncompatibleParts, match="one stream at a constant rate"):
        dedup_spec(DedupConfig(), {"tokenizer": TokenizerSpec(streams, 16_000)})


# Options


def test_options_are_checked() -> None:
    assert build(UsmV2Config, {"width": 96, "weights_dtype": "float16"}, "usm-v2").width == 96
    for wrong, message in (
        ({"heads": 5}, "heads must divide width"),
        ({"kernel": 4}, "kernel must be odd"),
        ({"speaker_rows": 0}, "speaker_rows must be positive"),
        ({"layer": 9, "features": "layer"}, "layer must be from 1 to layers=4"),
        ({"steps": 0}, "steps must be positive"),
        ({"pretraining_steps": -1}, "pretraining_steps must be 0 or more"),
        ({"quantizer": "fsq", "clusters": 100}, "clusters must be the product of levels"),
        ({"levels": [4, 1]}, "levels must be at least 2 each"),
        ({"weights_dtype": "bfloat16"}, "weights_dtype"),
    ):
        with pytest.raises(ValueError, match=message):
            build(UsmV2Config, wrong, "usm-v2")


def test_light_half_imports_no_torch() -> None:
    code = "import sys, areca_units; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
