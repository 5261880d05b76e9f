"""The depth transformer: predicts the ids of a step one after another from the state of the LM.

It is the depth transformer of the RQ-Transformer (arXiv 2203.01941, section 3.2.2) and Moshi (arXiv 2410.00037, section
3.4.1), over the LM's own embeddings and output rows: it has no tables.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from areca.lm.layout import Layout
from areca.run.options import DepthConfig


class DepthTransformer(nn.Module):
    """A causal transformer over the slots of a step.

    Args:
        config: its size.
        hidden: width H of the LM.
        slots: number of slots K of the widest step.
        seed: seed of the weights.
    """

    def __init__(self, config: DepthConfig, hidden: int, slots: int, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.state = nn.Linear(hidden, config.width)
            self.code = nn.Linear(hidden, config.width, bias=False)
            self.slot = nn.Parameter(torch.randn(slots, config.width) * 0.02)
            layer = nn.TransformerEncoderLayer(
                config.width, config.heads, 4 * config.width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            norm = nn.LayerNorm(config.width)
            self.layers = nn.TransformerEncoder(layer, config.layers, norm, enable_nested_tensor=False)
            for one in self.layers.layers[1:]:  # torch copies the first layer
                for module in one.modules():
                    if hasattr(module, "reset_parameters"):
                        module.reset_parameters()
                    elif isinstance(module, nn.MultiheadAttention):
                        module._reset_parameters()
            self.output = nn.Linear(config.width, hidden)

    def forward(self, hidden: Tensor, embedded: Tensor) -> Tensor:
        """Return the states that predict each slot.

        Args:
            hidden: float ``[N, H]``, states of the LM.
            embedded: float ``[N, k, H]``, the embedded ids of the first k slots; zero in empty slots.

        Returns:
            float ``[N, k, H]``: the state at index i predicts slot i + 1, given the ids of slots 0 to i.
        """
        count = embedded.shape[1]
        x = self.state(hidden)[:, None] + self.code(embedded) + self.slot[:count]
        mask = x.new_full((count, count), -torch.inf).triu(1)
        states: Tensor = self.output(self.layers(x, mask=mask, is_causal=True))
        return states


def build_depth(layout: Layout, model: Any, seed: int) -> DepthTransformer:
    """Return the depth transformer of a layout, with random weights."""
    assert layout.depth is not None, "Layout.has_depth"
    embedding = model.get_input_embeddings().weight
    depth = DepthTransformer(layout.depth, int(embedding.shape[1]), layout.slots, seed)
    return depth if depth.slot.is_meta else depth.to(embedding.device)
