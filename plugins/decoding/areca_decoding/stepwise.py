"""Decoding methods that choose one id at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from areca.component import Configured
from areca.generation.answers import Cursor, Rules
from areca.generation.decoding import Growing, draw, step_by_step
from areca.lm.steps import Steps
from areca_decoding import GreedyConfig, SampleConfig


class Greedy(Configured[GreedyConfig]):
    """The target of `greedy`, and its instance."""

    def search(self, rules: Rules, prompts: Sequence[Steps], generator: torch.Generator) -> list[Cursor]:
        """Answer prompts; see `areca.generation.decoding.DecodingMethod`."""
        return step_by_step(rules, prompts, self.pick, generator)

    def pick(self, logits: Tensor, growing: Sequence[Growing]) -> list[int]:
        """Return the likeliest column of each row of ``[B, V]``."""
        return logits.argmax(-1).tolist()


class Sample(Configured[SampleConfig]):
    """The target of `sample`, and its instance."""

    def search(self, rules: Rules, prompts: Sequence[Steps], generator: torch.Generator) -> list[Cursor]:
        """Answer prompts; see `areca.generation.decoding.DecodingMethod`."""
        return step_by_step(rules, prompts, self.pick, generator)

    def pick(self, logits: Tensor, growing: Sequence[Growing]) -> list[int]:
        """Return a random column of each row of ``[B, V]``; each row has a separate generator."""
        rows = logits.float().cpu()
        return [draw(self._probabilities(row), answer.generator) for row, answer in zip(rows, growing, strict=True)]

    def _probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities to draw from, ``[V]``; `top_p` always keeps the likeliest id."""
        logits = logits / self.config.temperature
        if 0 < self.config.top_k < len(logits):
            logits = logits.masked_fill(logits < logits.topk(self.config.top_k).values[-1], -torch.inf)
        probabilities = logits.softmax(-1)
        if self.config.top_p < 1:
            ordered, order = probabilities.sort(descending=True)
            beyond = ordered.cumsum(-1) - ordered >= self.config.top_p
            probabilities = probabilities.index_fill(0, order[beyond], 0.0)
        return probabilities
