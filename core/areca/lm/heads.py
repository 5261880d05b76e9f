"""The output head of a causal LM, at chosen positions and rows alone, with whatever scale or cap its family adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from areca.errors import IncompatibleParts


@dataclass(frozen=True, slots=True)
class Head:
    """The head as a function of the last hidden state.

    Args:
        linear: the model's output embedding, a matrix with or without a bias.
        scale: what logits are multiplied by (Cohere, Granite, Falcon-H1; elsewhere 1).
        cap: bound of the hyperbolic tangent that squashes them (Gemma 2, arXiv 2408.00118, section 2), or None.
    """

    linear: torch.nn.Linear
    scale: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, model: Any) -> Head:
        """Find a transformers model's head; `check` tells whether it was understood.

        Raises:
            IncompatibleParts: the model has no output embedding.
        """
        linear = model.get_output_embeddings()
        if not isinstance(linear, torch.nn.Linear):
            raise IncompatibleParts(f"{type(model).__name__} has no output embedding: expected a causal LM")
        config = model.config.get_text_config()
        scale = getattr(config, "logit_scale", None) or getattr(config, "lm_head_multiplier", None) or 1.0
        scale /= getattr(config, "logits_scaling", None) or 1.0
        return cls(linear, float(scale), getattr(config, "final_logit_softcapping", None))

    def logits(self, hidden: Tensor, rows: range | None = None) -> Tensor:
        """Return the model's logits.

        Args:
            hidden: last hidden states ``[..., H]``.
            rows: ids ``[start, stop)`` whose logits are wanted; None: all.

        Returns:
            ``[..., len(rows)]``, in the dtype of `hidden`.
        """
        kept = slice(None) if rows is None else slice(rows.start, rows.stop)
        bias: Tensor | None = self.linear.bias
        logits = F.linear(hidden, self.linear.weight[kept], None if bias is None else bias[kept])
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.cap is not None:
            logits = torch.tanh(logits / self.cap) * self.cap
        return logits

    @torch.no_grad()
    def check(self, model: Any) -> None:
        """Compare `logits` with what the model itself computes.

        Raises:
            IncompatibleParts: they differ: the family's head does something this module does not know.
        """
        device = model.get_input_embeddings().weight.device
        training, ids = model.training, torch.arange(2, device=device)[None]
        model.eval()
        try:
            hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
            expected = model(input_ids=ids, use_cache=False).logits
        finally:
            model.train(training)
        mine = self.logits(hidden)
        if mine.shape != expected.shape or not torch.allclose(mine, expected, rtol=1e-2, atol=1e-3):
            family = model.config.model_type
            raise IncompatibleParts(f"the output head of {family!r} is more than a matrix, a scale and a cap")
