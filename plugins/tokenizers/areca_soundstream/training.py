"""Train a codec against discriminators: batches and losses."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import nn

from areca.fitting.adversarial import HINGE, Side, feature_distances, train_adversaries
from areca.fitting.loop import Update, generator_for, initialise_model, learning_rate_factor
from areca.interfaces import Job
from areca_soundstream.corpus import Speech
from areca_soundstream.discriminators import build_discriminators
from areca_soundstream.losses import reconstruction_loss
from areca_soundstream.network import Codec
from areca_soundstream.options import SoundStreamConfig
from areca_soundstream.quantizer import Averages, draw_levels

_BETAS = (0.5, 0.9)
_WARM_UP = 0.02
_POINTS_PER_CODE = 8
"""Vectors from which the codebooks start, for each code. The paper takes the first batch, which may be too small."""


class Trainee(nn.Module):
    """A codec and what its training needs besides."""

    def __init__(self, config: SoundStreamConfig) -> None:
        super().__init__()
        self.config, self.codec = config, Codec(config)
        self.averages = Averages(self.codec.codebooks, decay=config.decay, replace_below=config.replace_below)

    def forward(self, audio: torch.Tensor, seed: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode and decode a batch, and move the codebooks.

        Args:
            audio: float32 ``[B, 1, F * hop]``.
            seed: seed of the training.
            number: number of the step.

        Returns:
            The decoded audio, of the same shape, and the mean squared error of the quantized vectors.
        """
        points, books, batch = self.encode(audio), self.codec.codebooks, len(audio)
        generator = generator_for(seed, "levels", number)
        kept = draw_levels(batch, len(books), dropout=self.config.quantizer_dropout, generator=generator)
        kept = kept.repeat_interleave(len(points) // batch).to(points.device)
        quantized = self.averages.advance(books, points.detach(), kept, generator_for(seed, "replacements", number))
        commitment = (points - quantized).square().mean()
        passed = points + (quantized - points).detach()  # gradients pass the quantizer unchanged
        return self.codec.decoder(passed.view(batch, -1, books.shape[-1]).transpose(1, 2)), commitment

    def encode(self, audio: torch.Tensor) -> torch.Tensor:
        """Return the vectors of a batch, float32 ``[B * F, dimension]``."""
        vectors: torch.Tensor = self.codec.encoder(audio)
        return vectors.transpose(1, 2).reshape(-1, vectors.shape[1])

    @torch.no_grad()
    def start(self, draw: Callable[[torch.Generator], torch.Tensor], seed: int) -> None:
        """Start the codebooks at the k-means of vectors, before the first step.

        Args:
            draw: draws a batch of audio.
            seed: seed of the training.
        """
        size, points = self.config.codebook_size, []
        for number in itertools.count():
            points.append(self.encode(draw(generator_for(seed, "start", number))))
            if sum(map(len, points)) >= _POINTS_PER_CODE * size:
                break
        generator = generator_for(seed, "codebooks", 0)
        self.averages.start(self.codec.codebooks, torch.cat(points), len(points[0]) / size, generator)


def train(config: SoundStreamConfig, speech: Speech, job: Job) -> Codec:
    """Train a codec.

    Args:
        config: sizes, losses and schedule.
        speech: the training data.
        job: seed, device and progress; an interrupted training resumes from its work folder.

    Returns:
        The codec in evaluation mode.
    """
    trainee = initialise_model(lambda: Trainee(config), job)
    discriminators = initialise_model(lambda: build_discriminators(config), job)

    def draw(generator: torch.Generator) -> torch.Tensor:
        return speech.crops(config.batch, config.crop_frames * config.hop, generator)[:, None].to(job.device)

    def batches(start: int) -> Iterator[torch.Tensor]:
        return (draw(generator_for(job.seed, "crops", number)) for number in itertools.count(start))

    def updates(real: torch.Tensor, number: int) -> Iterator[Update]:
        if number == 0:
            trainee.start(draw, job.seed)
        fake, commitment = trainee(real, job.seed, number)
        distance = reconstruction_loss(real[:, 0], fake[:, 0], config.sample_rate_hz)
        loss = config.reconstruction_weight * distance + config.commitment_weight * commitment
        message = f"mels {distance.item():.3f}"
        if number >= config.reconstruction_steps:
            judged = HINGE.judge(discriminators(real), discriminators(fake.detach())).mean()
            yield Update(discriminators, judged, f"discriminators {judged.item():.3f}")
            with torch.no_grad():
                true = discriminators(real)
            verdicts = discriminators(fake)
            convinced = HINGE.convince(verdicts).mean()
            features = torch.stack([x.mean() for x in feature_distances(true, verdicts)]).mean()
            loss = loss + config.adversarial_weight * convinced + config.feature_weight * features
            message += f", hinge {convinced.item():.3f}, features {features.item():.4f}"
        yield Update(trainee, loss, message)

    side = Side(config.learning_rate, _BETAS)
    train_adversaries(
        trainee,
        discriminators,
        batches,
        updates,
        job,
        sides=(side, side),
        steps=config.steps,
        save_every=config.checkpoint_steps,
        rate=lambda number: learning_rate_factor(number, config.steps, _WARM_UP),
        clip_norm=config.clip_norm,
    )
    return trainee.codec
