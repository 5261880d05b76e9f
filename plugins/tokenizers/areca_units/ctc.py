"""An encoder with a character head, trained with CTC (Graves et al. 2006)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from areca.batching import pad_batch
from areca.errors import InvalidManifest
from areca.fitting.loop import generator_for
from areca.fitting.sampling import training_rows
from areca.interfaces import Job
from areca.manifest import Manifest
from areca_units.augment import augmented
from areca_units.bottleneck import bottleneck_of
from areca_units.encoder import Encoder, encoder_of, inside
from areca_units.mels import mels_of
from areca_units.options import UsmV2Config
from areca_units.training import balanced, initialised, train_encoder

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

    def __init__(self, config: UsmV2Config, alphabet: Alphabet) -> None:
        super().__init__()
        self.alphabet = alphabet
        self.encoder = encoder_of(config)
        self.bottleneck = bottleneck_of(config)
        self.head = nn.Linear(config.width, LABELS * (len(alphabet.symbols) + 1))

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log-probabilities ``[B, LABELS * F, symbols + 1]`` of characters and lengths ``[B]``.

        They are read off what has gone through the bottleneck, where there is one.
        """
        hidden, lengths = self.encoder(features, lengths)
        return self._read(self._quantised(hidden)).flatten(1, 2).log_softmax(-1), LABELS * lengths

    def posteriors(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return probabilities ``[B, F, LABELS * (symbols + 1)]``, a frame's labels side by side, and ``[B]``."""
        hidden, lengths = self.encoder(features, lengths)
        return self._read(hidden).softmax(-1).flatten(2), lengths

    def points(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the bottleneck quantises, ``[B, F, D]``, and ``[B]``."""
        assert self.bottleneck is not None
        hidden, lengths = self.encoder(features, lengths)
        return self.bottleneck.points(hidden), lengths

    def loss(self, features: torch.Tensor, lengths: torch.Tensor, labels: list[torch.Tensor]) -> torch.Tensor:
        """Return the mean CTC loss of a batch; a text with more characters than there is room for does not count.

        With a bottleneck there are two, before it and behind it: behind it alone, CTC does not learn to leave blanks.
        """
        hidden, lengths = self.encoder(features, lengths)
        loss = ctc_loss(self._read(hidden), lengths, labels)
        if self.bottleneck is not None:
            there = inside(lengths, hidden.shape[1])  # padding uses no codes
            said, cost = self.bottleneck(hidden[there])
            quantised = torch.zeros_like(hidden).index_put((there,), said)
            loss = loss + ctc_loss(self._read(quantised), lengths, labels) + cost
        return loss

    def _quantised(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden if self.bottleneck is None else self.bottleneck(hidden)[0]

    def _read(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return scores ``[B, F, LABELS, symbols + 1]``."""
        scores: torch.Tensor = self.head(hidden).unflatten(-1, (LABELS, -1))
        return scores


def ctc_loss(scores: torch.Tensor, lengths: torch.Tensor, labels: list[torch.Tensor]) -> torch.Tensor:
    """Return the mean loss of scores ``[B, F, LABELS, symbols + 1]`` of `lengths` ``[B]`` frames."""
    sizes = torch.tensor([len(x) for x in labels], device=lengths.device)
    likely = scores.flatten(1, 2).log_softmax(-1).transpose(0, 1)
    joined = torch.cat(labels).to(lengths.device)
    return functional.ctc_loss(likely, joined, LABELS * lengths, sizes, zero_infinity=True)


def train_ctc(config: UsmV2Config, data: Manifest, job: Job, encoder: Encoder | None = None) -> CtcModel:
    """Train on the transcribed rows of the training split.

    Args:
        config: the model and the schedule.
        data: audio and text.
        job: seed, device, progress; its folder holds what is to be gone on from.
        encoder: what the training starts from; None: from random weights.

    Returns:
        The model in evaluation mode.

    Raises:
        InvalidManifest: no row of the training split has audio and text.
    """
    rows = [row for row in training_rows(data) if row.text]
    if not rows:
        raise InvalidManifest('usm-v2: expected rows with text in the split "train", got none')
    rows = balanced(rows, config.speaker_rows, job.seed)
    alphabet = Alphabet.of(row.text or "" for row in rows)
    model = initialised(lambda: CtcModel(config, alphabet), job)
    if encoder is not None:
        model.encoder.load_state_dict(encoder.state_dict())
    mels, labels = mels_of(data, rows, job), [alphabet.encode(row.text or "") for row in rows]

    def loss(indices: list[int], step: int) -> tuple[torch.Tensor, str]:
        generator = generator_for(job.seed, "augment", step)
        x, lengths = pad_batch([augmented(mels[i], config, generator) for i in indices])
        value = model.loss(x.to(job.device), lengths.to(job.device), [labels[i] for i in indices])
        return value, f"CTC loss {value.item():.3f}"

    train_encoder(model, loss, mels.lengths, config, job)
    return model
