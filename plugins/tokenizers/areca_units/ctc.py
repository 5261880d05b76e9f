"""A speech encoder with a character head, trained with CTC (Graves et al. 2006)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from areca.batching import length_mask, pad_batch
from areca.errors import InvalidManifest
from areca.fitting.loop import generator_for, initialise_model
from areca.fitting.sampling import training_rows
from areca.interfaces import Job
from areca.manifest import Manifest
from areca_units.augment import augment
from areca_units.bottleneck import build_bottleneck
from areca_units.encoder import Encoder, build_encoder
from areca_units.mels import compute_mels
from areca_units.options import UsmV2Config
from areca_units.training import balance_speakers, train_encoder

LABELS = 2
"""Labels per frame of 40 ms: fast French has more than 25 letters per second."""


@dataclass(frozen=True, slots=True)
class Alphabet:
    """The characters of the training texts. Label 0 is CTC's blank; character i of `symbols` is label i + 1."""

    symbols: str

    @staticmethod
    def of(texts: Iterable[str]) -> Alphabet:
        """Collect the characters of `texts`, after case folding."""
        return Alphabet("".join(sorted({c for text in texts for c in normalise_text(text)})))

    def encode(self, text: str) -> torch.Tensor:
        """Return the labels of `text`, int64 ``[L]``; characters that are not in the alphabet are left out."""
        index = {c: i + 1 for i, c in enumerate(self.symbols)}
        return torch.tensor([index[c] for c in normalise_text(text) if c in index], dtype=torch.int64)

    def decode(self, frames: torch.Tensor) -> str:
        """Return the text for the best labels, int64 ``[F]``: repeats are merged, blanks dropped."""
        return "".join(self.symbols[i - 1] for i in torch.unique_consecutive(frames).tolist() if i)


def normalise_text(text: str) -> str:
    """Fold case and join white space."""
    return " ".join(text.casefold().split())


class CtcModel(nn.Module):
    """An encoder and a head that predicts characters from its last layer.

    Args:
        config: sizes of the encoder and the bottleneck.
        alphabet: the characters.
    """

    def __init__(self, config: UsmV2Config, alphabet: Alphabet) -> None:
        super().__init__()
        self.alphabet = alphabet
        self.encoder = build_encoder(config)
        self.bottleneck = build_bottleneck(config)
        self.head = nn.Linear(config.width, LABELS * (len(alphabet.symbols) + 1))

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log-probabilities of labels, ``[B, LABELS * F, symbols + 1]``, and their lengths, ``[B]``.

        If there is a bottleneck, the head reads its output.

        Args:
            features: float32 ``[B, T, mels]``.
            lengths: int64 ``[B]``.
        """
        hidden, lengths = self.encoder(features, lengths)
        return self._score(self._pass_bottleneck(hidden)).flatten(1, 2).log_softmax(-1), LABELS * lengths

    def posteriors(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return label probabilities ``[B, F, LABELS * (symbols + 1)]``, those of a frame concatenated, and ``[B]``."""
        hidden, lengths = self.encoder(features, lengths)
        return self._score(hidden).softmax(-1).flatten(2), lengths

    def points(self, features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the points that the bottleneck quantizes, ``[B, F, D]``, and lengths ``[B]``."""
        assert self.bottleneck is not None
        hidden, lengths = self.encoder(features, lengths)
        return self.bottleneck.points(hidden), lengths

    def loss(self, features: torch.Tensor, lengths: torch.Tensor, labels: list[torch.Tensor]) -> torch.Tensor:
        """Return the mean CTC loss of a batch. Texts with more characters than the audio has labels are ignored.

        With a bottleneck there are two CTC losses, before and after it: with only the second, the model does not learn
        to emit blanks.
        """
        hidden, lengths = self.encoder(features, lengths)
        loss = ctc_loss(self._score(hidden), lengths, labels)
        if self.bottleneck is not None:
            valid = length_mask(lengths, hidden.shape[1])  # padding must not count as use of a code
            decoded, auxiliary_loss = self.bottleneck(hidden[valid])
            quantized = torch.zeros_like(hidden).index_put((valid,), decoded)
            loss = loss + ctc_loss(self._score(quantized), lengths, labels) + auxiliary_loss
        return loss

    def _pass_bottleneck(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden if self.bottleneck is None else self.bottleneck(hidden)[0]

    def _score(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the head's scores ``[B, F, LABELS, symbols + 1]`` of hidden states ``[B, F, width]``."""
        scores: torch.Tensor = self.head(hidden).unflatten(-1, (LABELS, -1))
        return scores


def ctc_loss(scores: torch.Tensor, lengths: torch.Tensor, labels: list[torch.Tensor]) -> torch.Tensor:
    """Return the mean CTC loss of a batch.

    Args:
        scores: ``[B, F, LABELS, symbols + 1]``.
        lengths: frames of each item, int64 ``[B]``.
        labels: labels of each item, int64 ``[L]``.
    """
    sizes = torch.tensor([len(x) for x in labels], device=lengths.device)
    log_probabilities = scores.flatten(1, 2).log_softmax(-1).transpose(0, 1)
    joined = torch.cat(labels).to(lengths.device)
    return functional.ctc_loss(log_probabilities, joined, LABELS * lengths, sizes, zero_infinity=True)


def train_ctc(config: UsmV2Config, data: Manifest, job: Job, encoder: Encoder | None = None) -> CtcModel:
    """Train an encoder with a CTC head on the transcribed rows of the training split.

    Args:
        config: the model and the schedule.
        data: audio and text.
        job: seed, device and progress; an interrupted training resumes from its work folder.
        encoder: initial weights of the encoder (default: random weights).

    Returns:
        The model in evaluation mode.

    Raises:
        InvalidManifest: no row of the training split has audio and text.
    """
    rows = [row for row in training_rows(data) if row.text]
    if not rows:
        raise InvalidManifest('usm-v2: expected rows with text in the split "train", got none')
    rows = balance_speakers(rows, config.speaker_rows, job.seed)
    alphabet = Alphabet.of(row.text or "" for row in rows)
    model = initialise_model(lambda: CtcModel(config, alphabet), job)
    if encoder is not None:
        model.encoder.load_state_dict(encoder.state_dict())
    mels, labels = compute_mels(data, rows, job), [alphabet.encode(row.text or "") for row in rows]

    def loss(indices: list[int], step: int) -> tuple[torch.Tensor, str]:
        generator = generator_for(job.seed, "augment", step)
        x, lengths = pad_batch([augment(mels[i], config, generator) for i in indices])
        value = model.loss(x.to(job.device), lengths.to(job.device), [labels[i] for i in indices])
        return value, f"CTC loss {value.item():.3f}"

    train_encoder(model, loss, mels.lengths, config, job)
    return model
