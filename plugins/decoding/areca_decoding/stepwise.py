"""Decoding methods that choose one id at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from areca.generation.answers import Cursor, Rules
from areca.generation.decoding import Growing, draw, step_by_step
from areca_decoding import GreedyConfig, SampleConfig


class Greedy:
    """The target of `greedy`, and its instance."""

    @classmethod
    def load(
        cls,
        config: GreedyConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Greedy:
        """Return the method."""
        return cls()

    def search(self, rules: Rules, prompts: Sequence[Sequence[int]], generator: torch.Generator) -> list[Cursor]:
        """Answer prompts; see `areca.generation.decoding.DecodingMethod`."""
        return step_by_step(rules, prompts, self.pick, generator)

    def pick(self, logits: Tensor, growing: Sequence[Growing]) -> list[int]:
        """Return the likeliest column of each row of ``[B, V]``."""
        return logits.argmax(-1).tolist()


class Sample:
    """The target of `sample`, and its instance."""

    def __init__(self, config: SampleConfig) -> None:
        self._config = config

    @classmethod
    def load(
        cls,
        config: SampleConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Sample:
        """Return the method."""
        return cls(config)

    def search(self, rules: Rules, prompts: Sequence[Sequence[int]], generator: torch.Generator) -> list[Cursor]:
        """Answer prompts; see `areca.generation.decoding.DecodingMethod`."""
        return step_by_step(rules, prompts, self.pick, generator)

    def pick(self, logits: Tensor, growing: Sequence[Growing]) -> list[int]:
        """Return a random column of each row of ``[B, V]``; each row has a separate generator."""
        rows = logits.float().cpu()
        return [draw(self._probabilities(row), answer.generator) for row, answer in zip(rows, growing, strict=True)]

    def _probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities to draw from, ``[V]``; `top_p` always keeps the likeliest id."""
        logits = logits / self._config.temperature
        if 0 < self._config.top_k < len(logits):
            logits = logits.masked_fill(logits < logits.topk(self._config.top_k).values[-1], -torch.inf)
        probabilities = logits.softmax(-1)
        if self._config.top_p < 1:
            ordered, order = probabilities.sort(descending=True)
            beyond = ordered.cumsum(-1) - ordered >= self._config.top_p
            probabilities = probabilities.index_fill(0, order[beyond], 0.0)
        return probabilities
