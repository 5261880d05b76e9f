"""An encoder with a character head, for CTC (Graves et al. 2006)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from areca_units import UsmV2Config
from areca_units.encoder import Encoder
from areca_units.features import MEL

LABELS = 2
"""Labels that the head reads off a frame of 40 ms: fast French has more than 25 letters a second."""


@dataclass(frozen=True, slots=True)
class Alphabet:
    """The characters of the training texts; 0 is CTC's blank, character i of `symbols` is i + 1."""

    symbols: str

    @staticmethod
    def of(texts: Iterable[str]) -> Alphabet:
        """Collect the characters of `texts`, case folded."""
        return Alphabet("".join(sorted({c for text in texts for c in tidy(text)})))

    def encode(self, text: str) -> torch.Tensor:
        """Return int64 ``[L]``; characters that the alphabet lacks are left out."""
        index = {c: i + 1 for i, c in enumerate(self.symbols)}
        return torch.tensor([index[c] for c in tidy(text) if c in index], dtype=torch.int64)

    def decode(self, frames: torch.Tensor) -> str:
        """Return the text of the best label of each frame, int64 ``[F]``: runs joined, blanks dropped."""
        return "".join(self.symbols[i - 1] for i in torch.unique_consecutive(frames).tolist() if i)


def tidy(text: str) -> str:
    """Fold case and join white space."""
    return " ".join(text.casefold().split())


class CtcModel(nn.Module):
    """An encoder and the head that reads characters off its last layer."""

    def __init__(self, config: UsmV2Config, symbols: int) -> None:
        super().__init__()
        self.encoder = Encoder(
            inputs=MEL.mels,
            width=config.width,
            layers=config.layers,
            heads=config.heads,
            kernel=config.kernel,
            expansion=config.expansion,
            dropout=config.dropout,
        )
        self.head = nn.Linear(config.width, LABELS * (symbols + 1))

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log-probabilities ``[B, LABELS * F, symbols + 1]`` of characters and lengths ``[B]``."""
        scores, lengths = self._scores(features, lengths)
        return scores.flatten(1, 2).log_softmax(-1), LABELS * lengths

    def posteriors(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return probabilities ``[B, F, LABELS * (symbols + 1)]``, a frame's labels side by side, and ``[B]``."""
        scores, lengths = self._scores(features, lengths)
        return scores.softmax(-1).flatten(2), lengths

    def _scores(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, lengths = self.encoder(features, lengths)
        return self.head(hidden).unflatten(-1, (LABELS, -1)), lengths
