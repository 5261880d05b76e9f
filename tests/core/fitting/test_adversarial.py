"""A generator and discriminators that are trained in turns, and their losses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from areca.fitting.adversarial import (
    HINGE,
    LEAST_SQUARES,
    Discriminators,
    Side,
    Verdict,
    feature_distances,
    train_adversaries,
)
from areca.fitting.loop import Update, generator_for
from areca.job import Job, Progress, no_progress

CPU = torch.device("cpu")
STEPS = 9


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Conv1d(1, 3, 5), nn.Conv1d(3, 1, 1)

    def forward(self, audio: torch.Tensor) -> Verdict:
        features = self.inner(audio).tanh()
        return Verdict(self.out(features), (features,))


class Filter(nn.Module):
    """A generator with dropout and with a buffer that each step changes."""

    seen: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Conv1d(1, 1, 3, padding=1)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        self.seen += noise.mean()
        fake: torch.Tensor = nn.functional.dropout(self.filter(noise), 0.1, self.training) + self.seen
        return fake


def train(folder: Path, steps: int = STEPS, progress: Progress = no_progress) -> tuple[nn.Module, nn.Module]:
    """Train from weights that are always the same; steps 0 to 2 leave the discriminators out."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        generator, critics = Filter(), Discriminators([Critic(), Critic()])
    job = Job(folder, 3, CPU, progress)

    def batches(start: int) -> Iterator[torch.Tensor]:
        for number in itertools.count(start):
            yield torch.randn(2, 1, 40, generator=generator_for(job.seed, "noise", number))

    def updates(noise: torch.Tensor, number: int) -> Iterator[Update]:
        fake, real = generator(noise), noise.cumsum(-1)
        if number > 2:
            judged = HINGE.judge(critics(real), critics(fake.detach())).mean()
            before = [x.clone() for x in generator.parameters()]
            yield Update(critics, judged, f"judged {judged.item():.3f}")
            assert all(x.grad is None for x in generator.parameters())
            assert all(torch.equal(x, y) for x, y in zip(generator.parameters(), before, strict=True))
        verdicts = critics(fake)
        distance = torch.cat(feature_distances(critics(real), verdicts)).mean()
        before = [x.clone() for x in critics.parameters()]
        yield Update(generator, HINGE.convince(verdicts).mean() + distance, "convinced")
        assert all(x.grad is None for x in critics.parameters())
        assert all(torch.equal(x, y) for x, y in zip(critics.parameters(), before, strict=True))

    train_adversaries(
        generator,
        critics,
        batches,
        updates,
        job,
        sides=(Side(0.1, (0.5, 0.9)), Side(0.05, (0.8, 0.99), 0.01)),
        steps=steps,
        save_every=4,
        rate=lambda number: 0.9**number,
        clip_norm=math.inf,
    )
    return generator, critics


def test_an_interrupted_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    messages: list[str] = []

    def stop(done: int, total: int, message: str = "") -> None:
        messages.append(message)
        if done == 7 and len(messages) == 7:
            raise KeyboardInterrupt

    before = torch.get_rng_state()
    (tmp_path / "killed").mkdir()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", progress=stop)
    resumed = train(tmp_path / "killed", progress=stop)
    assert messages[:3] == ["convinced"] * 3 and all(m.startswith("judged ") for m in messages[3:])
    assert len(messages) == 7 + STEPS - 4
    (tmp_path / "undisturbed").mkdir()
    for a, b in zip(resumed, train(tmp_path / "undisturbed"), strict=True):
        assert not a.training
        assert all(torch.equal(x, b.state_dict()[name]) for name, x in a.state_dict().items())
    assert torch.equal(before, torch.get_rng_state())


def test_a_step_without_discriminators_leaves_them_alone(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    untouched = train(tmp_path / "none", steps=0)
    (tmp_path / "three").mkdir()
    generator, critics = train(tmp_path / "three", steps=3)
    (tmp_path / "four").mkdir()
    _, trained = train(tmp_path / "four", steps=4)
    start = list(untouched[1].parameters())
    assert all(torch.equal(x, y) for x, y in zip(critics.parameters(), start, strict=True))
    assert not any(torch.equal(x, y) for x, y in zip(trained.parameters(), start, strict=True))
    assert not torch.equal(next(generator.parameters()), next(untouched[0].parameters()))


def test_the_losses_are_those_of_the_papers() -> None:
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])
    verdicts = ([Verdict(real, ()), Verdict(fake, ())], [Verdict(fake, ()), Verdict(real, ())])
    assert HINGE.judge(*verdicts).tolist() == pytest.approx([(0 + 0.5 + 2) / 3 + (0 + 1 + 2) / 3, 5 / 3 + 4.5 / 3])
    assert HINGE.convince(verdicts[1]).tolist() == pytest.approx([(4 + 1 + 0) / 3, 2.5 / 3])
    least = LEAST_SQUARES.judge(*verdicts)
    assert least.tolist() == pytest.approx([(1 + 0.25 + 4) / 3 + 10 / 3, 17 / 3 + 5.25 / 3])
    assert LEAST_SQUARES.convince(verdicts[1]).tolist() == pytest.approx([17 / 3, 5.25 / 3])


def test_features_are_compared_layer_by_layer() -> None:
    real = torch.tensor([[1.0, 2.0]], requires_grad=True)
    fake = torch.tensor([[3.0, -1.0]], requires_grad=True)
    logits = torch.zeros(1)
    [found] = feature_distances([Verdict(logits, (real, 10 * real))], [Verdict(logits, (fake, 10 * fake))])
    assert found.tolist() == [2.5, 25.0]
    torch.autograd.backward(found.sum())
    assert real.grad is None and fake.grad is not None and fake.grad.tolist() == [[5.5, -5.5]]
