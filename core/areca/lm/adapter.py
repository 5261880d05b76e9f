"""The adapter: maps the vectors of a recording to inputs of the LM, in place of the embeddings of ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from areca.errors import InvalidConfig
from areca.run.options import AdapterConfig


@dataclass(frozen=True, slots=True)
class VectorLayout:
    """How the vectors of a role become steps of a sequence.

    Args:
        size: dimensions D of a vector.
        adapter: the map from vectors to inputs of the LM, and how many vectors it joins.

    Raises:
        ValueError: the size is below 1.
    """

    size: int
    adapter: AdapterConfig

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")

    @property
    def width(self) -> int:
        """Dimensions of the joined vectors of a step."""
        return self.size * self.adapter.stride

    def join(self, vectors: Tensor) -> Tensor:
        """Join consecutive vectors; zeros complete the last step.

        Args:
            vectors: float32 ``[F, D]``.

        Returns:
            float32 ``[ceil(F / stride), width]``.
        """
        missing = -len(vectors) % self.adapter.stride
        return nn.functional.pad(vectors, (0, 0, 0, missing)).reshape(-1, self.width)


def lay_out_vectors(adapter: AdapterConfig | Mapping[str, Any], feature_size: int | None) -> VectorLayout:
    """Return the layout of vectors of a given size.

    Raises:
        InvalidConfig: the size is not given.
    """
    if feature_size is None:
        raise InvalidConfig("an LM that reads vectors needs their size: give feature_size")
    return VectorLayout(feature_size, AdapterConfig(**adapter) if isinstance(adapter, Mapping) else adapter)


class Adapter(nn.Module):
    """A ``linear`` map (Fathullah et al. 2023, arXiv 2307.11795, section 3.2), or an ``mlp`` as wide as the LM.

    It is trained in every mode of the LM, and its weights are float32.

    Args:
        layout: its input.
        hidden: width H of the LM.
        seed: seed of the weights.
    """

    def __init__(self, layout: VectorLayout, hidden: int, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers: list[nn.Module] = [nn.Linear(layout.width, hidden)]
            if layout.adapter.name == "mlp":
                layers += [nn.GELU(), nn.Linear(hidden, hidden)]
            self.layers = nn.Sequential(*layers)

    def forward(self, joined: Tensor) -> Tensor:
        """Return inputs of the LM, float ``[V, H]``, for joined vectors, float32 ``[V, width]``."""
        inputs: Tensor = self.layers(joined)
        return inputs


def build_adapter(layout: VectorLayout, model: Any, seed: int) -> Adapter:
    """Return the adapter between a layout and a model, with random weights in float32."""
    embedding = model.get_input_embeddings().weight
    adapter = Adapter(layout, int(embedding.shape[1]), seed)
    return adapter if next(adapter.parameters()).is_meta else adapter.to(embedding.device)
