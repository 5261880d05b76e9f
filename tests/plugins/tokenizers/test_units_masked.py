"""Encoders trained only on audio: masks, prediction targets, and whether training learns to predict them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from safetensors.torch import load_file

from areca.artifact import WORK
from areca.batching import pad_batch
from areca.fitting.loop import initialise_model
from areca.fitting.resume import STATE
from areca.fitting.unfinished import newest_state
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.options import build
from areca.testing.corpus import write_corpus
from areca_units.best_rq import BestRq, train_best_rq
from areca_units.features import compute_mel, normalise
from areca_units.masked_units import UsmV1, W2vBertNano
from areca_units.masking import draw_masks
from areca_units.options import MaskedConfig, UsmV1Config, W2vBertNanoConfig
from areca_units.w2v_bert import W2vBert, contrastive_loss, train_w2v_bert

M = TypeVar("M", bound=torch.nn.Module)

CPU = torch.device("cpu")
TINY = {
    "width": 32, "layers": 2, "layer": 1, "heads": 2, "clusters": 8, "steps": 6, "batch_s": 12.0, "sample_frames": 400,
    "checkpoint_steps": 2,
}  # fmt: skip
KINDS = [(UsmV1, UsmV1Config(**TINY, codebook_size=32)), (W2vBertNano, W2vBertNanoConfig(**TINY, codebook_size=32))]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("masked"))


def test_spans_mask_the_requested_share() -> None:
    lengths = torch.tensor([400, 250, 3, 1])
    masked = draw_masks(lengths.repeat(50), 400, 0.4, 10, torch.Generator().manual_seed(0)).view(50, 4, 400)
    assert float(masked[:, 0].float().mean()) == pytest.approx(0.4, abs=0.03)
    assert not masked[:, 1, 250:].any()
    assert masked.any(-1).all(), "each item has something to fill in"
    runs = torch.nn.functional.pad(masked[:, 0].long(), (1, 1)).diff(dim=-1)
    starts, ends = (runs == 1).nonzero(), (runs == -1).nonzero()
    inner = ends[:, 1] < 400
    assert int((ends[:, 1] - starts[:, 1])[inner].min()) >= 10


def test_targets_are_the_nearest_codes_of_the_projection() -> None:
    torch.manual_seed(0)
    config = UsmV1Config(**TINY, codebooks=3, codebook_size=7, codebook_dim=5)
    model, features = BestRq(config), torch.randn(2, 8, 80)
    targets = model.targets(features)
    assert targets.shape == (2, 2, 3)
    for item, frame, book in ((0, 0, 0), (1, 1, 2), (0, 1, 1)):
        vector = features[item, 4 * frame : 4 * frame + 4].flatten() @ model.projection[book]
        angles = [float(torch.cosine_similarity(vector, code, dim=0)) for code in model.codebooks[book]]
        assert targets[item, frame, book] == max(range(7), key=angles.__getitem__)


def test_best_rq_starts_from_the_loss_of_a_guess() -> None:
    torch.manual_seed(0)
    config = UsmV1Config(**TINY)
    loss = BestRq(config)(torch.randn(1, 64, 80), torch.tensor([64]), SPAN)
    assert float(loss.detach()) == pytest.approx(math.log(config.codebook_size), rel=0.15)


SPAN = torch.zeros(1, 16, dtype=torch.bool)
"""Frames 4 to 8 of 40 ms are masked: 16 to 35 of 10 ms."""
SPAN[0, 4:9] = True


def said(model: torch.nn.Module, heads: list[torch.nn.Module], features: torch.Tensor, *progress: float) -> Any:
    """What `heads` say of the masked frames, whatever the targets are, under the same draws each time."""
    heard: list[torch.Tensor] = []
    hooks = [head.register_forward_hook(lambda _, __, output: heard.append(output)) for head in heads]
    torch.manual_seed(5)
    with torch.no_grad():
        model(features, torch.tensor([64]), SPAN, *progress)
    for hook in hooks:
        hook.remove()
    assert len(heard) == len(heads)
    return heard


def changed(features: torch.Tensor, frame: int) -> torch.Tensor:
    """Another 10 ms at `frame`."""
    other = features.clone()
    other[:, frame] += 3.0
    return other


def test_best_rq_sees_only_unmasked_frames() -> None:
    torch.manual_seed(0)
    model, features = BestRq(UsmV1Config(**TINY)).eval(), torch.randn(1, 64, 80)
    [before] = said(model, [model.heads], features)
    for frame in range(64):
        [after] = said(model, [model.heads], changed(features, frame))
        assert torch.equal(before, after) == (16 <= frame < 36), frame


def test_w2v_bert_sees_only_unmasked_frames() -> None:
    torch.manual_seed(0)
    model, features = W2vBert(KINDS[1][1]).eval(), torch.randn(1, 64, 80)  # type: ignore[arg-type]
    heads = [model.context, model.predict]
    before = said(model, heads, features, 0.0)
    for frame in range(64):
        after = said(model, heads, changed(features, frame), 0.0)
        # Latents are hidden: those beside the span, at frames 12 and 36, see 6 frames to each side.
        hidden = 12 + 6 < frame < 36 - 6
        assert [torch.equal(b, a) for b, a in zip(before, after, strict=True)] == [hidden, hidden], frame


def test_contrastive_loss_is_that_of_a_plain_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    context, codebook = (torch.randn(n, 6, generator=generator) for n in (9, 4))
    codes, items = torch.tensor([0, 1, 2, 0, 3, 1, 1, 2, 3]), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1])
    quantize = codebook[codes]
    losses = []
    for i in range(9):
        rivals = [j for j in range(9) if items[j] == items[i] and codes[j] != codes[i]]
        scores = [float(torch.cosine_similarity(context[i], quantize[j], dim=0)) / 0.1 for j in [i, *rivals]]
        losses.append(math.log(sum(math.exp(s) for s in scores)) - scores[0])
    assert float(contrastive_loss(context, quantize, codes, items)) == pytest.approx(sum(losses) / 9, rel=1e-4)


def test_w2v_bert_trains_every_weight(corpus: Manifest) -> None:
    torch.manual_seed(0)
    model = W2vBert(KINDS[1][1])  # type: ignore[arg-type]
    x, lengths = pad_batch([normalise(compute_mel(corpus.audio(row))) for row in corpus.rows[:3]])
    masked = draw_masks(lengths // 4, x.shape[1] // 4, 0.4, 4, torch.Generator().manual_seed(0))
    contrast, named = model(x, lengths, masked, 0.0)
    (contrast + named).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert float(named) == pytest.approx(math.log(32), rel=0.3)


@pytest.mark.parametrize(("target", "config"), KINDS, ids=["usm-v1", "w2v-bert-nano"])
def test_fit_repeats_and_resumes(target: type[UsmV1], config: UsmV1Config, corpus: Manifest, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, total: int, message: str = "") -> None:
        if "masked" in message and done == 4:
            raise Stop

    before = torch.random.get_rng_state()
    for name in ("straight", "again", "stopped"):
        (tmp_path / name).mkdir()
    target.fit(config, {}, corpus, Job(tmp_path / "straight", 3, CPU))
    target.fit(config, {}, corpus, Job(tmp_path / "again", 3, CPU))
    with pytest.raises(Stop):
        target.fit(config, {}, corpus, Job(tmp_path / "stopped", 3, CPU, stop))
    target.fit(config, {}, corpus, Job(tmp_path / "stopped", 3, CPU))
    assert torch.equal(before, torch.random.get_rng_state())
    files = sorted(p.name for p in (tmp_path / "straight").iterdir() if p.name != WORK)
    assert files == ["codebook.safetensors", "encoder.safetensors"]
    for name in files:
        straight = (tmp_path / "straight" / name).read_bytes()
        assert straight == (tmp_path / "again" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes()
    tokenizer = target.load(config, {}, tmp_path / "straight", device=CPU, dtype=torch.float32)
    audio = corpus.audio(corpus.rows[0])
    units = tokenizer.encode([audio])[0].streams[0]
    assert abs(len(units) - 25 * audio.seconds) <= 2
    x, n = pad_batch([normalise(compute_mel(audio))])
    said = tokenizer.model(x, n, 1)[0][0, : len(units)]
    assert torch.equal(units, torch.cdist(said, tokenizer.centroids).argmin(1))


# 150 steps teach no more than how often each code occurs; spans of two frames, a letter, can be filled in after some
# hundred. What is said has to be better than that, and than at the start.
LEARNING = TINY | {
    "steps": 400, "checkpoint_steps": 400, "learning_rate": 5e-3, "mask_span": 2, "codebook_size": 32,
}  # fmt: skip


@pytest.fixture
def one_thread() -> Iterator[None]:
    """What 400 steps learn hangs on the order of sums: two threads leave 10 codes in use where one leaves 13."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def learnt(train: Any, model: M, config: MaskedConfig, corpus: Manifest, directory: Path) -> tuple[M, Any, Any]:
    """Train; return `model` with the weights that were learnt, and each loss's mean in the first and last ten steps."""
    losses: list[list[float]] = []

    def note(done: int, total: int, message: str = "") -> None:
        if "masked" in message:
            losses.append([float(x) for x in re.findall(r"[\d.]+", message)])

    job = Job(directory, 3, CPU, note)
    train(config, corpus, job)
    _, path = newest_state(job.work) or (0, Path())
    state = load_file(path / STATE)
    weights = {name.removeprefix("model."): x for name, x in state.items() if name.startswith("model.")}
    model.load_state_dict(weights)
    return model.eval(), *torch.tensor(losses)[[*range(10), *range(-10, 0)]].view(2, 10, -1).mean(1)


def entropy(shares: torch.Tensor) -> float:
    """The least loss (nats) of saying a code where nothing is known but how often each occurs."""
    return float(-(shares * shares.clamp(min=1e-9).log()).sum())


def clean(corpus: Manifest) -> list[torch.Tensor]:
    """The training split's features, each of whole frames of 40 ms."""
    mels = [normalise(compute_mel(corpus.audio(row))) for row in corpus.select(split="train").rows]
    return [x[None, : len(x) // 4 * 4] for x in mels]


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_best_rq_learns_to_predict_masked_frames(corpus: Manifest, tmp_path: Path) -> None:
    # Noise would change what is to be named.
    config = UsmV1Config(**LEARNING, echo=0.0, noise=0.0)
    model = initialise_model(lambda: BestRq(config), Job(tmp_path, 3, CPU))
    model, before, after = learnt(train_best_rq, model, config, corpus, tmp_path)
    codes = torch.cat([model.targets(x)[0] for x in clean(corpus)])
    known = sum(entropy(torch.bincount(book, minlength=32) / len(book)) for book in codes.T) / len(codes.T)
    assert after < 0.75 * before  # measured: 2.31 and 3.48
    assert after < 0.85 * known  # 3.04


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_w2v_bert_learns_both_losses_and_keeps_its_codes_in_use(corpus: Manifest, tmp_path: Path) -> None:
    config = W2vBertNanoConfig(**LEARNING)
    model, before, after = learnt(train_w2v_bert, W2vBert(config), config, corpus, tmp_path)
    with torch.no_grad():
        latents = [model.encoder.subsample(x, torch.tensor([x.shape[1]]))[0][0] for x in clean(corpus)]
        scores = model.scores(torch.cat(latents))
    assert (after < 0.65 * before).all(), (before, after)  # measured: 1.37 and 1.37, 2.85 and 3.59 at the start
    assert after[1] < 0.75 * entropy(scores.softmax(-1).mean(0))  # 2.4
    # A quantiser of few codes is easily foretold: without the loss for their even use, 6 are left.
    assert len(scores.argmax(-1).unique()) >= 11  # 13


def test_options_are_checked() -> None:
    for wrong, message in (({"layer": 5}, "layer must be from 1"), ({"mask_share": 1.0}, "0 < mask_share < 1")):
        with pytest.raises(ValueError, match=message):
            build(UsmV1Config, wrong, "usm-v1")
    with pytest.raises(ValueError, match="layers must be at least 2"):
        build(W2vBertNanoConfig, {"layers": 1, "layer": 1}, "w2v-bert-nano")
