"""w2v-BERT: train half of an encoder with a contrastive loss, and the rest by masked prediction (Chung et al. 2021).

AudioPaLM's first tokenizer uses such an encoder (Rubenstein et al. 2023, section 3.1). This one trains on a CPU.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from areca.interfaces import Job
from areca.manifest import Manifest
from areca_units.bottleneck import unevenness
from areca_units.encoder import Encoder, build_encoder
from areca_units.masking import train_masked
from areca_units.options import W2vBertNanoConfig

_TEMPERATURE, _DISTRACTORS = 0.1, 100
_GUMBEL = 2.0, 0.5
"""Gumbel temperature of the quantizer at the first and at the last step."""
_DIVERSITY = 0.1
"""Weight of the diversity loss, which keeps all codes in use (Baevski et al. 2020, eq. 4)."""


class W2vBert(nn.Module):
    """An encoder with a contrastive loss after its first half and a masked prediction loss after its second half.

    Args:
        config: sizes of the encoder and the codebook.
    """

    def __init__(self, config: W2vBertNanoConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config)
        self.masked = nn.Parameter(torch.empty(config.width).uniform_())
        self.scores = nn.Linear(config.width, config.codebook_size)
        self.codebook = nn.Parameter(torch.empty(config.codebook_size, config.codebook_dim).uniform_(-1, 1))
        self.context = nn.Linear(config.width, config.codebook_dim)
        self.predict = nn.Linear(config.width, config.codebook_size)

    def forward(
        self, features: torch.Tensor, lengths: torch.Tensor, masked: torch.Tensor, progress: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the contrastive loss, diversity included, and the prediction loss, both in nats per masked frame.

        Args:
            features: float32 ``[B, T, mels]``, T a multiple of 4.
            lengths: int64 ``[B]``.
            masked: the frames to mask, bool ``[B, T / 4]``.
            progress: finished share of the training; the quantizer's temperature falls with it.
        """
        latents, lengths = self.encoder.subsample(features, lengths)
        scores = self.scores(latents[masked])
        start, stop = _GUMBEL
        choice = functional.gumbel_softmax(scores, tau=start + (stop - start) * progress, hard=True)
        codes, quantized = choice.argmax(-1), choice @ self.codebook
        *_, middle, last = self._states(latents, lengths, masked)
        contrast = contrastive_loss(self.context(middle[masked]), quantized, codes, masked.nonzero()[:, 0])
        uneven = unevenness(scores.softmax(-1).mean(0))
        return contrast + _DIVERSITY * uneven, functional.cross_entropy(self.predict(last[masked]), codes)

    def _states(self, latents: torch.Tensor, lengths: torch.Tensor, masked: torch.Tensor) -> list[torch.Tensor]:
        """Return the normalised states after the middle and the last layer, with masked frames replaced."""
        hidden = torch.where(masked[..., None], self.masked, latents)
        states = list(self.encoder.iterate_states(hidden, lengths))
        return [functional.layer_norm(x, x.shape[-1:]) for x in (states[len(states) // 2 - 1], states[-1])]


def contrastive_loss(
    context: torch.Tensor, quantized: torch.Tensor, codes: torch.Tensor, items: torch.Tensor
) -> torch.Tensor:
    """Return the mean loss of picking each masked frame's code among the codes of other masked frames of its item.

    Args:
        context: the encoder's output at each masked frame, float32 ``[M, D]``.
        quantized: the code vector of each masked frame, float32 ``[M, D]``.
        codes: the index of each frame's code, int64 ``[M]``.
        items: the index of each frame's item in the batch, int64 ``[M]``.
    """
    similarity = functional.normalize(context, dim=-1) @ functional.normalize(quantized, dim=-1).T / _TEMPERATURE
    # A frame with the same code is not a wrong answer, and a frame of another item is too easy.
    excluded = (items[:, None] != items) | (codes[:, None] == codes)
    order = torch.rand(similarity.shape, device=similarity.device).masked_fill(excluded, 2.0).fill_diagonal_(-1.0)
    candidates = order.topk(min(_DISTRACTORS + 1, len(items)), largest=False)  # the frame's own code comes first
    scores = similarity.gather(1, candidates.indices).masked_fill(candidates.values > 1, -torch.inf)
    return functional.cross_entropy(scores, torch.zeros(len(items), dtype=torch.int64, device=scores.device))


def train_w2v_bert(config: W2vBertNanoConfig, data: Manifest, job: Job) -> Encoder:
    """Train an encoder on the audio of the training split and return it in evaluation mode.

    Args and errors are those of `train_masked`.
    """

    def loss(
        model: W2vBert, x: torch.Tensor, lengths: torch.Tensor, masked: torch.Tensor, step: int
    ) -> tuple[torch.Tensor, str]:
        contrast, prediction = model(x, lengths, masked, step / config.steps)
        return contrast + prediction, f"contrastive {contrast.item():.3f}, masked {prediction.item():.3f}"

    return train_masked(lambda: W2vBert(config), loss, config, data, job).encoder
