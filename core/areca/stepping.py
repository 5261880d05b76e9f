"""An LM run id by id over a batch, with a cache of keys and values."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache


class Stepper:
    """Last hidden states of a batch of sequences that grow together; a sequence that is done can be left out.

    Args:
        model: a transformers causal LM, in evaluation mode.
        prompts: ids of each sequence; they may differ in length.
        pad: an id to fill up with, never attended to.
    """

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], pad: int) -> None:
        config = model.config.get_text_config()
        self._body = model.base_model
        self._takes_positions = "position_ids" in inspect.signature(self._body.forward).parameters
        self._cache = DynamicCache(config=config)
        self._device = model.get_input_embeddings().weight.device
        longest = max(map(len, prompts))
        rows = [[pad] * (longest - len(p)) + list(p) for p in prompts]
        self._lengths = torch.tensor([len(p) for p in prompts], device=self._device)[:, None]
        self._padding = longest - self._lengths
        # Without padding the library needs no mask, and takes its faster path.
        self._mask = torch.arange(longest, device=self._device) >= self._padding
        self._padded = bool(self._padding.any())
        positions = (torch.arange(longest, device=self._device) - self._padding).clamp(min=0)
        self.hidden: Tensor = self._run(torch.tensor(rows, device=self._device), positions)
        """Float ``[B, H]``: the state from which the next id of each sequence is chosen."""

    def step(self, ids: Sequence[int]) -> None:
        """Append an id to each sequence."""
        column = torch.tensor(ids, device=self._device)[:, None]
        if self._padded:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(ids), 1)], dim=1)
        self.hidden = self._run(column, self._lengths)
        self._lengths = self._lengths + 1

    def select(self, kept: Sequence[int]) -> None:
        """Go on with these sequences alone, in this order; one may be taken several times."""
        index = torch.tensor(kept, device=self._device)
        self._cache.batch_select_indices(index)
        self.hidden, self._mask, self._lengths = self.hidden[index], self._mask[index], self._lengths[index]

    def _run(self, ids: Tensor, positions: Tensor) -> Tensor:
        options = {"attention_mask": self._mask} if self._padded else {}
        if self._padded and self._takes_positions:
            options["position_ids"] = positions
        output = self._body(input_ids=ids, past_key_values=self._cache, use_cache=True, **options)
        last: Tensor = output.last_hidden_state[:, -1]
        return last
