"""BEST-RQ: an encoder learns to name what is masked, in codes that a random projection gives (Chiu et al. 2022).

The encoder of the first USM tokenizer of AudioPaLM (Rubenstein et al. 2023, section 3.1; Zhang et al. 2023).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from areca.interfaces import Job
from areca.manifest import Manifest
from areca_units.augment import augmented
from areca_units.encoder import Encoder, encoder_of
from areca_units.features import MEL, padded
from areca_units.masking import STACK, masked_spans
from areca_units.mels import mels_of
from areca_units.options import UsmV1Config
from areca_units.sampling import training_rows
from areca_units.training import balanced, drawn, initialised, train_encoder

_NOISE = 0.1
"""Standard deviation of what a masked frame is replaced with (section 3.1)."""


class BestRq(nn.Module):
    """An encoder, frozen random codebooks, and a softmax for each of them (section 3; several: USM, section 3.2)."""

    projection: torch.Tensor
    codebooks: torch.Tensor

    def __init__(self, config: UsmV1Config) -> None:
        super().__init__()
        books, size, dim = config.codebooks, config.codebook_size, config.codebook_dim
        self.encoder = encoder_of(config)
        self.heads = nn.Linear(config.width, books * size)
        # Never trained, and of no use afterwards: they follow from the seed.
        self.register_buffer("projection", nn.init.xavier_uniform_(torch.empty(books, STACK * MEL.mels, dim)), False)
        self.register_buffer("codebooks", functional.normalize(torch.randn(books, size, dim), dim=-1), False)

    @torch.no_grad()
    def targets(self, features: torch.Tensor) -> torch.Tensor:
        """Return the codes int64 ``[B, T / 4, codebooks]`` of features ``[B, T, mels]``, T a multiple of 4."""
        stacked = features.reshape(len(features), -1, STACK * features.shape[2])
        projected = functional.normalize(torch.einsum("bfs,nsd->bfnd", stacked, self.projection), dim=-1)
        return torch.einsum("bfnd,nkd->bfnk", projected, self.codebooks).argmax(-1)  # of unit length: the nearest

    def forward(self, features: torch.Tensor, lengths: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy (nats a code) at masked frames.

        Args:
            features: float32 ``[B, T, mels]``, T a multiple of 4; nothing hidden in them.
            lengths: int64 ``[B]``.
            masked: bool ``[B, T / 4]``.
        """
        targets = self.targets(features)[masked]
        noise = _NOISE * torch.randn(features.shape, device=features.device)
        hidden = torch.where(masked.repeat_interleave(STACK, 1)[..., None], noise, features)
        states, _ = self.encoder(hidden, lengths)
        scores = self.heads(states[masked]).view(targets.numel(), -1)
        return functional.cross_entropy(scores, targets.flatten())


def train_best_rq(config: UsmV1Config, data: Manifest, job: Job, state: Path, features: Path) -> Encoder:
    """Train on the audio of the training split; no text is needed.

    Args:
        config: the model and the schedule.
        data: audio.
        job: seed, device, progress.
        state: file that an interrupted call left its state in, and that this one keeps up to date.
        features: file for the log-mels of all that is trained on; the caller removes it with `remove_mels`.

    Returns:
        The encoder in evaluation mode.

    Raises:
        InvalidManifest: the training split has no audio.
    """
    rows = balanced(training_rows(data), config.speaker_rows, job.seed)
    model = initialised(lambda: BestRq(config), job)
    mels = mels_of(data, rows, features, job)

    def loss(indices: list[int], step: int) -> tuple[torch.Tensor, str]:
        generator = drawn(job.seed, "augment", step)
        x, lengths = padded([augmented(mels[i], config, generator) for i in indices])
        masked = masked_spans(lengths // STACK, x.shape[1] // STACK, config.mask_share, config.mask_span, generator)
        value = model(x.to(job.device), lengths.to(job.device), masked.to(job.device))
        return value, f"masked loss {value.item():.3f}"

    train_encoder(model, loss, mels.lengths, config, job, state)
    return model.encoder
