"""The output head of a causal LM at selected positions and rows, with the scale or cap of the model family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from areca.errors import IncompatibleParts
from areca.lm.rows import select_trained


@dataclass(frozen=True, slots=True)
class Head:
    """The output head, a function from the last hidden state to logits.

    Args:
        linear: the model's output embedding, with or without a bias.
        scale: factor of the logits (Cohere, Granite, Falcon-H1; 1 for other families).
        cap: soft cap of the logits, ``cap * tanh(logits / cap)`` (Gemma 2, arXiv 2408.00118, section 2); None: no cap.
    """

    linear: torch.nn.Linear
    scale: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, model: Any) -> Head:
        """Build the head of a transformers model. Call `check` to verify the result.

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
        """Compute the logits of all ids, or of a range of ids.

        Args:
            hidden: last hidden states ``[..., H]``.
            rows: the ids, as a range; None: all ids.

        Returns:
            logits ``[..., len(rows)]``, in the dtype of `hidden`.
        """
        selected = slice(None) if rows is None else slice(rows.start, rows.stop)
        weight = select_trained(self.linear, self.linear.weight)
        bias: Tensor | None = self.linear.bias
        bias = None if bias is None else select_trained(self.linear, bias)[selected]
        logits = F.linear(hidden, weight[selected], bias)
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.cap is not None:
            logits = torch.tanh(logits / self.cap) * self.cap
        return logits

    @torch.no_grad()
    def check(self, model: Any) -> None:
        """Compare `logits` with the logits of the model itself.

        Raises:
            IncompatibleParts: they differ, because the head has an operation that this class does not support.
        """
        device = model.get_input_embeddings().weight.device
        training, ids = model.training, torch.arange(2, device=device)[None]
        model.eval()
        try:
            hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
            expected = model(input_ids=ids, use_cache=False).logits
        finally:
            model.train(training)
        computed = self.logits(hidden)
        if computed.shape != expected.shape or not torch.allclose(computed, expected, rtol=1e-2, atol=1e-3):
            family = model.config.model_type
            raise IncompatibleParts(
                f"the output head of {family!r} is not supported: expected a matrix, a scale and a cap; choose another "
                "backbone"
            )


def check_embeddings(model: Any) -> None:
    """Check that a model gives the same states for ids and for their embeddings; parallel patterns and vectors need it.

    Raises:
        IncompatibleParts: it does not.
    """
    device = model.get_input_embeddings().weight.device
    ids, training = torch.arange(2, device=device)[None], model.training
    model.eval()
    try:
        with torch.no_grad():
            expected = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
            embedded = model.get_input_embeddings()(ids)
            found = model.base_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        same = torch.allclose(found, expected, rtol=1e-4, atol=1e-5)
    except (TypeError, ValueError):
        same = False
    finally:
        model.train(training)
    if not same:
        raise IncompatibleParts(
            f"the family {model.config.model_type!r} needs the ids themselves, not only their embeddings: expected "
            "another backbone; or lm.read_as: units and an lm.pattern that is not parallel, such as flatten"
        )
