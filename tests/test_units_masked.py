"""Encoders that learn from audio alone: what is masked, what is to be said of it, and that training says it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from areca.interfaces import Job
from areca.manifest import Manifest
from areca.options import build
from areca.testing.corpus import write_corpus
from areca_units.best_rq import BestRq
from areca_units.features import mel_of, normalise, padded
from areca_units.masked_units import UsmV1, W2vBertNano
from areca_units.masking import masked_spans
from areca_units.options import UsmV1Config, W2vBertNanoConfig
from areca_units.w2v_bert import W2vBert, contrastive_loss

CPU = torch.device("cpu")
TINY = {
    "width": 32, "layers": 2, "layer": 1, "heads": 2, "clusters": 8, "steps": 6, "batch_s": 12.0, "sample_frames": 400,
    "checkpoint_steps": 2,
}  # fmt: skip
KINDS = [(UsmV1, UsmV1Config(**TINY, codebook_size=32)), (W2vBertNano, W2vBertNanoConfig(**TINY, codebook_size=32))]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("masked"))


def test_spans_mask_the_share_that_is_asked_for() -> None:
    lengths = torch.tensor([400, 250, 3, 1])
    masked = masked_spans(lengths.repeat(50), 400, 0.4, 10, torch.Generator().manual_seed(0)).view(50, 4, 400)
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


def test_best_rq_does_not_see_what_it_has_to_name() -> None:
    torch.manual_seed(0)
    config = UsmV1Config(**TINY)
    model, features, lengths = BestRq(config).eval(), torch.randn(1, 64, 80), torch.tensor([64])
    masked = torch.zeros(1, 16, dtype=torch.bool)
    masked[0, 4:9] = True
    hidden = masked.repeat_interleave(4, 1)[..., None]
    features.requires_grad_()
    model.encoder(torch.where(hidden, 0.0, features), lengths)[0].square().sum().backward()
    assert features.grad is not None and not features.grad[0, 16:36].any() and features.grad[0, 36:].any()
    untrained = model(features, lengths, masked).detach()
    assert float(untrained) == pytest.approx(math.log(config.codebook_size), rel=0.15)


def test_contrastive_loss_is_that_of_a_plain_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    context, codebook = (torch.randn(n, 6, generator=generator) for n in (9, 4))
    codes, items = torch.tensor([0, 1, 2, 0, 3, 1, 1, 2, 3]), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1])
    quantised = codebook[codes]
    losses = []
    for i in range(9):
        rivals = [j for j in range(9) if items[j] == items[i] and codes[j] != codes[i]]
        scores = [float(torch.cosine_similarity(context[i], quantised[j], dim=0)) / 0.1 for j in [i, *rivals]]
        losses.append(math.log(sum(math.exp(s) for s in scores)) - scores[0])
    assert float(contrastive_loss(context, quantised, codes, items)) == pytest.approx(sum(losses) / 9, rel=1e-4)


def test_w2v_bert_trains_every_weight(corpus: Manifest) -> None:
    torch.manual_seed(0)
    model = W2vBert(KINDS[1][1])  # type: ignore[arg-type]
    x, lengths = padded([normalise(mel_of(corpus.audio(row))) for row in corpus.rows[:3]])
    masked = masked_spans(lengths // 4, x.shape[1] // 4, 0.4, 4, torch.Generator().manual_seed(0))
    contrast, named = model(x, lengths, masked, 0.0)
    (contrast + named).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert float(named) == pytest.approx(math.log(32), rel=0.3)


@pytest.mark.parametrize(("target", "config"), KINDS, ids=["usm-v1", "w2v-bert-nano"])
def test_it_fits_repeats_and_goes_on(
    target: type[UsmV1], config: UsmV1Config, corpus: Manifest, tmp_path: Path
) -> None:
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
    files = sorted(p.name for p in (tmp_path / "straight").iterdir())
    assert files == ["codebook.safetensors", "encoder.safetensors"]
    for name in files:
        straight = (tmp_path / "straight" / name).read_bytes()
        assert straight == (tmp_path / "again" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes()
    tokenizer = target.load(config, {}, tmp_path / "straight", device=CPU, dtype=torch.float32)
    audio = corpus.audio(corpus.rows[0])
    units = tokenizer.encode([audio])[0].streams[0]
    assert abs(len(units) - 25 * audio.seconds) <= 2
    x, n = padded([normalise(mel_of(audio))])
    said = tokenizer.model(x, n, 1)[0][0, : len(units)]
    assert torch.equal(units, torch.cdist(said, tokenizer.centroids).argmin(1))


@pytest.mark.slow
@pytest.mark.parametrize("target", [UsmV1, W2vBertNano])
def test_masked_prediction_gets_better(target: type[UsmV1], corpus: Manifest, tmp_path: Path) -> None:
    losses: list[float] = []

    def note(done: int, total: int, message: str = "") -> None:
        if "masked" in message:
            losses.append(float(message.rsplit(" ", 1)[1]))

    kind = {UsmV1: UsmV1Config, W2vBertNano: W2vBertNanoConfig}[target]  # type: ignore[index]
    config = kind(**TINY | {"steps": 150}, codebook_size=32)
    target.fit(config, {}, corpus, Job(tmp_path, 3, CPU, note))  # type: ignore[arg-type]
    assert sum(losses[-10:]) < 0.85 * sum(losses[:10])


def test_options_are_checked() -> None:
    for wrong, message in (({"layer": 5}, "layer must be from 1"), ({"mask_share": 1.0}, "0 < mask_share < 1")):
        with pytest.raises(ValueError, match=message):
            build(UsmV1Config, wrong, "usm-v1")
    with pytest.raises(ValueError, match="layers must be at least 2"):
        build(W2vBertNanoConfig, {"layers": 1, "layer": 1}, "w2v-bert-nano")
