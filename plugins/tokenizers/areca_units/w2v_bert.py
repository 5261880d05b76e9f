"""w2v-BERT: half an encoder learns to tell masked frames apart, the other half to name them (Chung et al. 2021).

The encoder of AudioPaLM's first tokenizer (Rubenstein et al. 2023, section 3.1), in a size that trains on a CPU.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from areca.interfaces import Job
from areca.manifest import Manifest
from areca_units.bottleneck import unevenness
from areca_units.encoder import Encoder, encoder_of
from areca_units.masking import train_masked
from areca_units.options import W2vBertNanoConfig

_TEMPERATURE, _DISTRACTORS = 0.1, 100
_GUMBEL = 2.0, 0.5
"""Temperature of the quantiser's draws at the first and at the last step."""
_DIVERSITY = 0.1
"""Weight of the loss that keeps all codes in use (Baevski et al. 2020, eq. 4)."""


class W2vBert(nn.Module):
    """An encoder whose first half is trained with a contrastive loss and whose second half with masked prediction."""

    def __init__(self, config: W2vBertNanoConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder_of(config)
        self.masked = nn.Parameter(torch.empty(config.width).uniform_())
        self.scores = nn.Linear(config.width, config.codebook_size)
        self.codebook = nn.Parameter(torch.empty(config.codebook_size, config.codebook_dim).uniform_(-1, 1))
        self.context = nn.Linear(config.width, config.codebook_dim)
        self.predict = nn.Linear(config.width, config.codebook_size)

    def forward(
        self, features: torch.Tensor, lengths: torch.Tensor, masked: torch.Tensor, progress: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the contrastive loss, diversity included, and that of masked prediction, both nats a masked frame.

        Args:
            features: float32 ``[B, T, mels]``, T a multiple of 4.
            lengths: int64 ``[B]``.
            masked: bool ``[B, T / 4]``.
            progress: share of the training that is done; the quantiser grows colder with it.
        """
        latents, lengths = self.encoder.subsampled(features, lengths)
        scores = self.scores(latents[masked])
        start, stop = _GUMBEL
        choice = functional.gumbel_softmax(scores, tau=start + (stop - start) * progress, hard=True)
        codes, quantised = choice.argmax(-1), choice @ self.codebook
        *_, middle, last = self._states(latents, lengths, masked)
        contrast = contrastive_loss(self.context(middle[masked]), quantised, codes, masked.nonzero()[:, 0])
        uneven = unevenness(scores.softmax(-1).mean(0))
        return contrast + _DIVERSITY * uneven, functional.cross_entropy(self.predict(last[masked]), codes)

    def _states(self, latents: torch.Tensor, lengths: torch.Tensor, masked: torch.Tensor) -> list[torch.Tensor]:
        """Return the normalised states in the middle and at the end, with masked frames hidden."""
        hidden = torch.where(masked[..., None], self.masked, latents)
        states = list(self.encoder.states(hidden, lengths))
        return [functional.layer_norm(x, x.shape[-1:]) for x in (states[len(states) // 2 - 1], states[-1])]


def contrastive_loss(
    context: torch.Tensor, quantised: torch.Tensor, codes: torch.Tensor, items: torch.Tensor
) -> torch.Tensor:
    """Return the mean loss of telling each frame's code from those of other masked frames of its item.

    Args:
        context: float32 ``[M, D]``, what the encoder says of each masked frame.
        quantised: float32 ``[M, D]``, the code that the frame has.
        codes: int64 ``[M]``, its number.
        items: int64 ``[M]``, the item of the batch that the frame is of.
    """
    similar = functional.normalize(context, dim=-1) @ functional.normalize(quantised, dim=-1).T / _TEMPERATURE
    # A frame with the same code would be no mistake, and one of another item no contest.
    barred = (items[:, None] != items) | (codes[:, None] == codes)
    order = torch.rand(similar.shape, device=similar.device).masked_fill(barred, 2.0).fill_diagonal_(-1.0)
    kept = order.topk(min(_DISTRACTORS + 1, len(items)), largest=False)  # the frame's own comes first
    scores = similar.gather(1, kept.indices).masked_fill(kept.values > 1, -torch.inf)
    return functional.cross_entropy(scores, torch.zeros(len(items), dtype=torch.int64, device=scores.device))


def train_w2v_bert(config: W2vBertNanoConfig, data: Manifest, job: Job) -> Encoder:
    """Return the trained encoder in evaluation mode; arguments and errors as of `train_masked`."""

    def loss(
        model: W2vBert, x: torch.Tensor, lengths: torch.Tensor, masked: torch.Tensor, step: int
    ) -> tuple[torch.Tensor, str]:
        contrast, named = model(x, lengths, masked, step / config.steps)
        return contrast + named, f"contrastive {contrast.item():.3f}, masked {named.item():.3f}"

    return train_masked(lambda: W2vBert(config), loss, config, data, job).encoder
