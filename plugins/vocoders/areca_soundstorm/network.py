"""The network: units and partly masked codes to the distributions of one level's codes, and durations of units."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from areca.fitting.codec_vocoder.layout import Layout
from areca.fitting.durations import DurationNet
from areca_soundstorm.conformer import Conformer
from areca_soundstorm.options import SoundStormConfig


class Network(nn.Module):
    """A Conformer over the sum of a frame's embeddings, with a head for each level (SoundStorm, section 3).

    Args:
        config: sizes of the Conformer.
        layout: numbers of units and codes.
    """

    def __init__(self, config: SoundStormConfig, layout: Layout) -> None:
        super().__init__()
        self.condition = nn.Embedding(layout.units, config.width)
        self.levels = nn.ModuleList(nn.Embedding(size + 1, config.width) for size in layout.sizes)
        self.conformer = Conformer(
            layers=config.layers,
            heads=config.heads,
            width=config.width,
            feed_forward=config.feed_forward,
            kernel=config.kernel,
            expansion=config.expansion,
            rotary=config.rotary,
            dropout=config.dropout,
        )
        self.heads = nn.ModuleList(nn.Linear(config.width, size) for size in layout.sizes)
        self.duration = DurationNet(layout.units, config.longest) if layout.has_durations else None
        for embedding in (self.condition, *self.levels):
            nn.init.normal_(embedding.weight, std=(1 + len(layout.sizes)) ** -0.5)

    @property
    def masks(self) -> torch.Tensor:
        """The id of each level that stands for a masked code, int64 ``[Q]``: one more than the highest code."""
        return torch.tensor([head.out_features for head in self.heads], device=self.condition.weight.device)

    def forward(
        self, condition: torch.Tensor, codes: torch.Tensor, valid: torch.Tensor | None, wanted: torch.Tensor
    ) -> torch.Tensor:
        """Return the hidden states of wanted frames; ``heads[q]`` turns them into logits of level q.

        Args:
            condition: units, int64 ``[B, T]``, one per codec frame.
            codes: codes or mask ids of each level, int64 ``[B, T, Q]``.
            valid: the frames that are not padding, bool ``[B, T]``; None: all.
            wanted: the frames to return, bool ``[B, T]``.

        Returns:
            float32 ``[N, width]`` for N wanted frames.
        """
        x = self.condition(condition)
        for level, embedding in enumerate(self.levels):
            x = x + embedding(codes[..., level])
        hidden: torch.Tensor = self.conformer(x, valid, wanted)
        return hidden


@torch.no_grad()
def start_at_codebooks(net: Network, codebooks: Sequence[torch.Tensor], generator: torch.Generator) -> None:
    """Set embeddings and heads to a codec's codebooks, projected at random.

    All levels share the projection, so that the sum of a frame's embeddings is the projection of the frame as the codec
    quantizes it. A hidden state near a code's vector then has a high logit for the code.

    Args:
        net: on the CPU.
        codebooks: float32 ``[size, D]`` of each level.
        generator: CPU generator that draws the projection.
    """
    vectors = [book.cpu() - book.cpu().mean(0) for book in codebooks]
    width, most = net.condition.embedding_dim, max(v.shape[1] for v in vectors)
    projection = torch.randn(most, width, generator=generator) * most**-0.5
    projected = [v @ projection[: v.shape[1]] for v in vectors]
    scale = sum(float(p.square().mean()) for p in projected) ** 0.5
    for p, embedding, head in zip(projected, net.levels, net.heads, strict=True):
        assert isinstance(embedding, nn.Embedding) and isinstance(head, nn.Linear)
        embedding.weight[:-1].copy_(p / max(scale, 1e-6))
        rms = float(p.square().mean()) ** 0.5
        head.weight.copy_(p / max(rms, 1e-6) * width**-0.5)
        nn.init.zeros_(head.bias)
