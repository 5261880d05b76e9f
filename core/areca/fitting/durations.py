"""Predict the durations of deduplicated units, for vocoders whose units come from an LM.

After Lee et al. 2022 (Direct speech-to-speech translation with discrete units, section 3.4), with a smaller network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from areca.batching import length_mask
from areca.fitting.blocks import DILATIONS, Blocks

_WIDTH = 96


class DurationNet(nn.Module):
    """A network from deduplicated units to the distribution of each unit's duration."""

    def __init__(self, units: int, longest: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(units, _WIDTH)
        self.blocks = Blocks(_WIDTH, len(DILATIONS))
        self.out = nn.Conv1d(_WIDTH, longest, 1)

    def forward(self, units: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return logits ``[B, longest, U]`` of durations from 1 of units, int64 ``[B, U]``, masked by ``[B, U]``."""
        logits: torch.Tensor = self.out(self.blocks(self.embedding(units).transpose(1, 2), mask[:, None]))
        return logits

    def predict(self, units: torch.Tensor) -> torch.Tensor:
        """Return the durations, int64 ``[U]``, at least 1, of units, int64 ``[U]``.

        A duration is the expectation of its distribution. The ends of the units are rounded, not the durations: most
        durations are just above 1, so rounding each of them would make the speech faster.
        """
        expected = self.expect(units)
        return durations_of(expected, torch.zeros(1, dtype=torch.float64))[0]

    def expect(self, units: torch.Tensor) -> torch.Tensor:
        """Return the expected duration of each unit, float32 ``[U]``, for units, int64 ``[U]``."""
        probabilities = self(units[None], torch.ones_like(units[None], dtype=torch.float32))[0].softmax(0)
        frames = torch.arange(1, len(probabilities) + 1, device=units.device, dtype=probabilities.dtype)
        expected: torch.Tensor = frames @ probabilities
        return expected

    @property
    def reach(self) -> int:
        """Units on either side that a duration depends on."""
        return self.blocks.reach


def durations_of(expected: torch.Tensor, end: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round the ends of units.

    Args:
        expected: expected duration of each unit, ``[U]``.
        end: end of the unit before them, float64 ``[1]``, on the CPU: MPS has no float64.

    Returns:
        durations, int64 ``[U]``, at least 1, and the end of the last unit, float64 ``[1]``.
    """
    ends = torch.cat((end, expected.cpu().double())).cumsum(0)
    return ends.round().long().diff().clamp(min=1).to(expected.device), ends[-1:]


def duration_loss(
    net: DurationNet, units: Sequence[torch.Tensor], durations: Sequence[torch.Tensor], device: torch.device
) -> torch.Tensor:
    """Return the mean cross-entropy (nats) of the units' durations; longer ones count as the longest.

    Args:
        net: on `device`.
        units: int64 ``[U_i]`` of each utterance.
        durations: int64 ``[U_i]``, at least 1.
        device: where to compute.
    """
    padded, mask = pad_rows(units, device)
    classes, _ = pad_rows([d - 1 for d in durations], device)
    losses = functional.cross_entropy(net(padded, mask), classes.clamp(max=net.out.out_channels - 1), reduction="none")
    return (losses * mask).sum() / mask.sum()


def pad_rows(rows: Sequence[torch.Tensor], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows ``[U_i]`` padded with zeros to ``[B, U]``, and their mask, float32 ``[B, U]``."""
    lengths = torch.tensor([len(r) for r in rows])
    mask = length_mask(lengths, int(lengths.max()))
    return pad_sequence(list(rows), batch_first=True).to(device), mask.float().to(device)
