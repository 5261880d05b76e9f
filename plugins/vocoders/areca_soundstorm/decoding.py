"""Parallel decoding, level by level, with a confidence schedule (SoundStorm, section 3.3; Chang et al. 2022, MaskGIT).

An utterance's codes do not depend on the batch: all utterances draw the same random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from areca.batching import bucket, length_mask
from areca.fitting.codec_vocoder.windows import Track
from areca_soundstorm.network import Network


@dataclass(frozen=True, slots=True)
class Plan:
    """How to decode.

    Args:
        iterations: number of iterations of each level.
        temperature: of sampling, in all iterations of a level but the last.
        window: frames that are decoded together, prompt included.
        overlap: frames at a window's end that the next window continues.
        batch: frames in a batch, padding included.
    """

    iterations: tuple[int, ...]
    temperature: float
    window: int
    overlap: int
    batch: int


@torch.inference_mode()
def decode(net: Network, tracks: Sequence[Track], plan: Plan) -> None:
    """Decode utterances to their ends, in batches. The time is linear in their duration."""
    while pending := [track for track in tracks if not track.is_finished]:
        windows = [track.window(plan.window, plan.overlap) for track in pending]
        sizes = [len(condition) for condition, _ in windows]
        for batch in bucket(sizes, plan.batch):
            members = batch.tolist()
            state = _Batch.of(net, [windows[i] for i in members], [pending[i].generator for i in members])
            for level, iterations in enumerate(plan.iterations):
                state.decode_level(net, level, iterations, plan.temperature)
            for row, i in enumerate(members):
                pending[i].append(state.codes[row, len(windows[i][1]) : sizes[i]])


@dataclass(slots=True)
class _Batch:
    """Windows that are decoded together.

    Args:
        condition: int64 ``[B, T]``.
        codes: decoded codes or mask ids, int64 ``[B, T, Q]``.
        valid: the frames that are not padding, bool ``[B, T]``; None: all.
        fresh: the frames to decode, bool ``[B, T]``.
        generators: those of the items.
    """

    condition: torch.Tensor
    codes: torch.Tensor
    valid: torch.Tensor | None
    fresh: torch.Tensor
    generators: Sequence[torch.Generator]

    @staticmethod
    def of(
        net: Network,
        windows: Sequence[tuple[torch.Tensor, torch.Tensor]],
        generators: Sequence[torch.Generator],
    ) -> _Batch:
        condition = pad_sequence([units for units, _ in windows], batch_first=True)
        codes = net.masks.repeat(*condition.shape, 1)
        for row, (_, given) in zip(codes, windows, strict=True):
            row[: len(given)] = given
        lengths, starts = (
            torch.tensor([len(window[k]) for window in windows], device=condition.device) for k in (0, 1)
        )
        valid = length_mask(lengths, condition.shape[1])
        fresh = valid & ~length_mask(starts, condition.shape[1])
        return _Batch(condition, codes, None if bool(valid.all()) else valid, fresh, generators)

    def decode_level(self, net: Network, level: int, iterations: int, temperature: float) -> None:
        """Decode the fresh frames of a level.

        After iteration i of n, a share of cos(pi / 2 * i / n) of the frames is left undecided: those whose sampled
        codes are the least likely. A decided code stays. The last iteration takes the most likely codes.
        """
        undecided = self.fresh.clone()
        total = undecided.sum(1)
        for i in range(1, iterations + 1):
            share = math.cos(math.pi / 2 * i / iterations) if i < iterations else 0.0
            counts = undecided.sum(1) - (total.cpu().double() * share).floor().long().to(total.device)
            wanted = undecided & (counts > 0)[:, None]
            if not bool(wanted.any()):  # few frames: this iteration would decide none
                continue
            logits = net.heads[level](net(self.condition, self.codes, self.valid, wanted))
            if i == iterations:
                found, decided = logits.argmax(-1), wanted
            else:
                found, confidence = self._sample(logits / temperature, wanted)
                decided = _most_confident(confidence, wanted, counts)
            self.codes[..., level][decided] = found[decided[wanted]]
            undecided &= ~decided

    def _sample(self, logits: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a sampled code for each row of logits ``[N, size]``, and its probability, both ``[N]``."""
        counts = wanted.sum(1).tolist()
        draws = [torch.rand(n, generator=g) for n, g in zip(counts, self.generators, strict=True)]
        probabilities = logits.softmax(-1)
        sums = probabilities.cumsum(-1)
        targets = torch.cat(draws).to(logits.device)[:, None] * sums[:, -1:]
        found = torch.searchsorted(sums, targets, right=True).clamp(max=logits.shape[1] - 1)
        return found[:, 0], probabilities.gather(1, found)[:, 0]


def _most_confident(confidence: torch.Tensor, wanted: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return the wanted frames, bool ``[B, T]``, that are the `counts` most confident ones of each item.

    Args:
        confidence: float32 ``[N]``, in the order of `wanted`.
        wanted: bool ``[B, T]``, true N times.
        counts: int64 ``[B]``.
    """
    scores = confidence.new_full(wanted.shape, -math.inf)
    scores[wanted] = confidence
    ranks = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return wanted & (ranks < counts[:, None])
