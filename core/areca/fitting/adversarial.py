"""Train a generator of audio against discriminators: their verdicts, the usual losses, and the training loop.

Goodfellow et al. 2014 (arXiv 1406.2661). A step first updates the discriminators, then the generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional

from areca.fitting.loop import Update, train_in_turns
from areca.job import Job

B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one discriminator says of a batch.

    Args:
        logits: any shape; high where the audio looks real.
        features: the output of each inner layer, any shapes.
    """

    logits: torch.Tensor
    features: tuple[torch.Tensor, ...]


class Discriminators(nn.Module):
    """Several discriminators of the same audio.

    Args:
        members: each maps audio, float32 ``[B, 1, T]``, to a `Verdict`.
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, audio: torch.Tensor) -> list[Verdict]:
        """Return each discriminator's verdict on audio, float32 ``[B, 1, T]``."""
        return [member(audio) for member in self.members]


@dataclass(frozen=True, slots=True)
class AdversarialLoss:
    """A pair of losses over logits, one for each side. Each function maps logits of any shape to a scalar.

    Args:
        real: loss of a discriminator for real audio.
        fake: loss of a discriminator for generated audio.
        generator: loss of the generator for generated audio.
    """

    real: Callable[[torch.Tensor], torch.Tensor]
    fake: Callable[[torch.Tensor], torch.Tensor]
    generator: Callable[[torch.Tensor], torch.Tensor]

    def judge(self, real: Sequence[Verdict], fake: Sequence[Verdict]) -> torch.Tensor:
        """Return the loss of each discriminator, ``[K]``, for verdicts on real and on generated audio."""
        pairs = zip(real, fake, strict=True)
        return torch.stack([self.real(r.logits) + self.fake(f.logits) for r, f in pairs])

    def convince(self, fake: Sequence[Verdict]) -> torch.Tensor:
        """Return the generator's loss against each discriminator, ``[K]``, for verdicts on generated audio."""
        return torch.stack([self.generator(f.logits) for f in fake])


HINGE = AdversarialLoss(
    real=lambda x: functional.relu(1 - x).mean(),
    fake=lambda x: functional.relu(1 + x).mean(),
    generator=lambda x: functional.relu(1 - x).mean(),
)
"""Hinge loss as in SoundStream (arXiv 2107.03312, section III.E)."""
LEAST_SQUARES = AdversarialLoss(
    real=lambda x: (x - 1).square().mean(),
    fake=lambda x: x.square().mean(),
    generator=lambda x: (x - 1).square().mean(),
)
"""Least squares as in HiFi-GAN (arXiv 2010.05646, section 2.4)."""


def feature_distances(real: Sequence[Verdict], fake: Sequence[Verdict]) -> list[torch.Tensor]:
    """Compare the inner layers of discriminators for real and generated audio (feature matching).

    Args:
        real: verdicts on real audio; no gradient flows into them.
        fake: verdicts on the audio that was generated for it.

    Returns:
        For each discriminator the mean absolute difference of each layer, ``[L_k]``. Papers differ in how they add
        them up.
    """
    return [
        torch.stack([(f - r.detach()).abs().mean() for r, f in zip(x.features, y.features, strict=True)])
        for x, y in zip(real, fake, strict=True)
    ]


class _Opponents(nn.Module):
    """What an adversarial training saves and restores together."""

    def __init__(self, generator: nn.Module, discriminators: nn.Module) -> None:
        super().__init__()
        self.generator, self.discriminators = generator, discriminators


@dataclass(frozen=True, slots=True)
class Side:
    """How the generator or the discriminators are optimized, by AdamW.

    Args:
        learning_rate: peak learning rate.
        betas: decay of the moments.
        weight_decay: decoupled; 0 is Adam.
    """

    learning_rate: float
    betas: tuple[float, float]
    weight_decay: float = 0.0


def train_adversaries(
    generator: nn.Module,
    discriminators: nn.Module,
    batches: Callable[[int], Iterator[B]],
    updates: Callable[[B, int], Iterable[Update]],
    job: Job,
    *,
    sides: tuple[Side, Side],
    steps: int,
    save_every: int,
    rate: Callable[[int], float],
    clip_norm: float,
) -> None:
    """Train both in place, from the last saved state if there is one, and leave them in evaluation mode.

    Batches and updates must depend only on the seed, the step's number, and the weights and buffers of both modules.
    Then a resumed training ends with the same weights as an uninterrupted one.

    Args:
        generator: on the job's device.
        discriminators: on the job's device.
        batches: given a step's number, yields the batches from that step on.
        updates: a generator function. Given a batch and the step's number, it yields the update of the discriminators,
            then that of the generator. A step may leave one out. Detach the generated audio for the discriminators;
            the generator's update needs no detached weights, because an update has gradients for only one side.
        job: seed and progress; its work folder holds the saved states.
        sides: how the generator and the discriminators are optimized.
        steps: number of steps of the whole training.
        save_every: steps between two saved states.
        rate: given a step's number, returns its learning rate as a share of the peak.
        clip_norm: gradients of each side are clipped to this norm; ``math.inf``: never.

    Raises:
        Interrupted: Ctrl-C or SIGTERM arrived; the state is saved.

    Example::

        def updates(real: torch.Tensor, number: int) -> Iterator[Update]:
            fake = generator(real)
            judged = LEAST_SQUARES.judge(discriminators(real), discriminators(fake.detach())).sum()
            yield Update(discriminators, judged, f"discriminators {judged.item():.3f}")
            convinced = LEAST_SQUARES.convince(discriminators(fake)).sum()
            yield Update(generator, convinced, f"generator {convinced.item():.3f}")
    """
    modules = (generator, discriminators)
    groups = [
        {"params": list(m.parameters()), "lr": s.learning_rate, "betas": s.betas, "weight_decay": s.weight_decay}
        for m, s in zip(modules, sides, strict=True)
    ]
    train_in_turns(
        _Opponents(*modules),
        torch.optim.AdamW(groups),
        batches,
        updates,
        job,
        steps=steps,
        save_every=save_every,
        rate=rate,
        clip_norm=clip_norm,
    )
