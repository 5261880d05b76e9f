"""BEST-RQ: train an encoder to predict the codes of masked frames under a random projection (Chiu et al. 2022).

AudioPaLM's first USM tokenizer uses such an encoder (Rubenstein et al. 2023, section 3.1; Zhang et al. 2023).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from areca.interfaces import Job
from areca.manifest import Manifest
from areca_units.encoder import Encoder, build_encoder
from areca_units.features import MEL
from areca_units.masking import STACK, train_masked
from areca_units.options import UsmV1Config

_NOISE = 0.1
"""Standard deviation of the noise that replaces a masked frame (section 3.1)."""


class BestRq(nn.Module):
    """An encoder with frozen random codebooks and a softmax for each (section 3; several codebooks: USM, section 3.2).

    Args:
        config: sizes of the encoder and the codebooks.
    """

    projection: torch.Tensor
    codebooks: torch.Tensor

    def __init__(self, config: UsmV1Config) -> None:
        super().__init__()
        books, size, dim = config.codebooks, config.codebook_size, config.codebook_dim
        self.encoder = build_encoder(config)
        self.heads = nn.Linear(config.width, books * size)
        # Not trained and not saved: they depend only on the seed, and only training needs them.
        self.register_buffer("projection", nn.init.xavier_uniform_(torch.empty(books, STACK * MEL.mels, dim)), False)
        self.register_buffer("codebooks", functional.normalize(torch.randn(books, size, dim), dim=-1), False)

    @torch.no_grad()
    def targets(self, features: torch.Tensor) -> torch.Tensor:
        """Return the codes, int64 ``[B, T / 4, codebooks]``, of features ``[B, T, mels]``, T a multiple of 4."""
        stacked = features.reshape(len(features), -1, STACK * features.shape[2])
        projected = functional.normalize(torch.einsum("bfs,nsd->bfnd", stacked, self.projection), dim=-1)
        return torch.einsum("bfnd,nkd->bfnk", projected, self.codebooks).argmax(-1)  # unit vectors: the nearest

    def forward(self, features: torch.Tensor, lengths: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy (nats per code) at masked frames.

        Args:
            features: unmasked features, float32 ``[B, T, mels]``, T a multiple of 4.
            lengths: int64 ``[B]``.
            masked: the frames to mask, bool ``[B, T / 4]``.
        """
        targets = self.targets(features)[masked]
        noise = _NOISE * torch.randn(features.shape, device=features.device)
        hidden = torch.where(masked.repeat_interleave(STACK, 1)[..., None], noise, features)
        states, _ = self.encoder(hidden, lengths)
        scores = self.heads(states[masked]).view(targets.numel(), -1)
        return functional.cross_entropy(scores, targets.flatten())


def train_best_rq(config: UsmV1Config, data: Manifest, job: Job) -> Encoder:
    """Train an encoder on the audio of the training split and return it in evaluation mode.

    Args and errors are those of `train_masked`.
    """

    def loss(
        model: BestRq, x: torch.Tensor, lengths: torch.Tensor, masked: torch.Tensor, step: int
    ) -> tuple[torch.Tensor, str]:
        value = model(x, lengths, masked)
        return value, f"masked loss {value.item():.3f}"

    return train_masked(lambda: BestRq(config), loss, config, data, job).encoder
