"""Run an LM step by step over a batch, with a cache of keys and values."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from areca.lm.model import SpeechLM
from areca.lm.steps import NO_ID, Steps
from areca.lm.vocabulary import Control


class _PreallocatedLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer of the cache with free space after its end, so that a step copies only its own column.

    Selecting sequences copies them to a second pair of buffers. A search that selects at each step alternates between
    the two pairs, because new memory takes longer than the copy.
    """

    _buffers: tuple[Tensor, Tensor] | None = None
    _spare: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append states ``[B, H, n, D]`` to keys and values; return all keys and values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if self._buffers is None or self._buffers[0].shape[-2] < end:
            keys, values = (self.keys, self.values) if start else (key_states[:, :, :0], value_states[:, :, :0])
            length = end + end // 2 + 64
            self._buffers = _enlarge(keys, length), _enlarge(values, length)
            self._spare = None
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[: len(states), :, start:end] = states
        return self._show(len(key_states), end)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the sequences of `indices`, in that order."""
        keys, values = self.keys, self.values
        if self._buffers is None or keys is None or values is None:
            super().batch_select_indices(indices)
            return
        count, end, old = len(indices), self.get_seq_length(), len(keys)
        if self._spare is None or len(self._spare[0]) < count:
            first, second = self._buffers
            self._spare = first.new_empty(count, *first.shape[1:]), second.new_empty(count, *second.shape[1:])
        for target, source in zip(self._spare, (keys, values), strict=True):
            torch.index_select(source, 0, indices, out=target[:count, :, :end])
        # A batch that shrinks gives its memory back.
        self._buffers, self._spare = self._spare, self._buffers if count >= old else None
        self._show(count, end)

    def _show(self, count: int, end: int) -> tuple[Tensor, Tensor]:
        """Set keys and values to the used part of the buffers, and return them."""
        assert self._buffers is not None
        keys, values = (buffer[:count, :, :end] for buffer in self._buffers)
        self.keys, self.values = keys, values
        return keys, values


def _enlarge(states: Any, length: int) -> Tensor:
    batch, heads, old, width = states.shape
    enlarged: Tensor = states.new_empty(batch, heads, length, width)
    enlarged[:, :, :old] = states
    return enlarged


class Stepper:
    """Computes the last hidden states of a batch of growing sequences; finished sequences can be dropped.

    Args:
        lm: the LM, in evaluation mode.
        prompts: each sequence; they may differ in length.
    """

    def __init__(self, lm: SpeechLM, prompts: Sequence[Steps]) -> None:
        self._lm, model = lm, lm.model
        parameters = inspect.signature(model.base_model.forward).parameters
        self._takes_positions = "position_ids" in parameters
        self._cache_option = "cache" if "cache" in parameters else "past_key_values"  # until transformers 5.24
        self._cache = _create_cache(model.config.get_text_config())
        self._device = model.get_input_embeddings().weight.device
        longest = max(map(len, prompts))
        grid = torch.full((len(prompts), longest, lm.slots), NO_ID)
        grid[..., 0] = lm.vocabulary.control(Control.PAD)  # on the left, never attended to
        for row, prompt in zip(grid, prompts, strict=True):
            row[longest - len(prompt) :] = prompt.grid(lm.slots)
        self._lengths = torch.tensor([len(p) for p in prompts], device=self._device)[:, None]
        padding = longest - self._lengths
        # Without padding the library needs no mask, and takes its faster path.
        self._padded = bool(padding.any())
        columns = torch.arange(longest, device=self._device)
        self._mask = columns >= padding
        ids, positions = grid.to(self._device), (columns - padding).clamp(min=0)
        of_vectors = {}
        if lm.vector_width:
            none = torch.empty(0, lm.vector_width)
            vectors = pad_sequence([none if p.vectors is None else p.vectors for p in prompts], batch_first=True)
            of_vectors = {"vectors": vectors.to(self._device), "vector_at": (ids == NO_ID).all(-1)}
        self.hidden = self._run(ids, positions, **of_vectors)
        """Float ``[B, H]``: the state from which the next step of each sequence is chosen."""

    def step(self, steps: Sequence[Sequence[int]]) -> None:
        """Append a step to each sequence: its ids by slot, -1 in empty slots."""
        column = torch.tensor(steps, device=self._device)[:, None]
        if self._padded:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(steps), 1)], dim=1)
        self.hidden = self._run(column, self._lengths)
        self._lengths = self._lengths + 1

    def select(self, kept: Sequence[int]) -> None:
        """Keep only the sequences with these numbers, in this order; a number may occur several times."""
        index = torch.tensor(kept, device=self._device)
        self._cache.batch_select_indices(index)
        self.hidden, self._mask, self._lengths = self.hidden[index], self._mask[index], self._lengths[index]

    def _run(self, ids: Tensor, positions: Tensor, **options: Any) -> Tensor:
        options[self._cache_option] = self._cache
        if self._padded:
            options["attention_mask"] = self._mask
        if self._padded and self._takes_positions:
            options["position_ids"] = positions
        output = self._lm.run(ids[..., 0] if self._lm.slots == 1 else ids, use_cache=True, **options)
        last: Tensor = output.last_hidden_state[:, -1]
        return last


def _create_cache(config: Any) -> Any:
    cache: Any = DynamicCache(config=config)
    # Only layers of full attention: layers with a window or a state have their own rules.
    roomy: Any = _PreallocatedLayer
    cache.layers = [roomy() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
